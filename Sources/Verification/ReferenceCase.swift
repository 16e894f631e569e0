import Foundation
import Graph
import Storage

/// The groups of cases that are recomputed; the number starts the name of a case.
package enum CaseGroup: String, CaseIterable, Sendable {
  case visionTransformer = "01"
  case modularTraining = "02"
  case pair = "03"
  case visionMoE = "04"
  case circuitPair = "05"
  case circuit = "06"
  case graphPriors = "06b"
  case adamW = "07"
  case schedule = "08"
  case loss = "12"
  case dropPath = "13"
}

/// A case of the reference implementation: what it was given and what it computed, in a JSON file and a safetensors file
/// beside it.
struct ReferenceCase {
  let path: String
  let description: CaseDescription
  let group: CaseGroup
  let tensors: Safetensors

  /// - Parameter path: of the JSON file, or of the safetensors file beside it.
  /// - Throws: `unsupported` for a group that is not recomputed, `unusable` for what is no case.
  init(reading path: String) throws(VerificationError) {
    let stem = (path as NSString).deletingPathExtension
    let json = stem + ".json"
    self.path = json
    guard let data = FileManager.default.contents(atPath: json) else {
      throw .unusable("\(json): no such file; a case is a .json and a .safetensors file of the same name")
    }
    do {
      let name = try JSONDecoder().decode(CaseName.self, from: data).name
      let number = String(name.prefix { $0 != "_" })
      guard number.first?.isNumber == true else {
        throw VerificationError.unusable("\(json): a case's name starts with its group, e.g. 03_vmoe_idx0, not \(name)")
      }
      guard let group = CaseGroup(rawValue: number) else {
        throw VerificationError.unsupported(group: number, path: json)
      }
      self.group = group
      description = try JSONDecoder().decode(CaseDescription.self, from: data)
      if let misfit = try JSONDecoder().decode(FixedOptions.Description.self, from: data).misfit {
        throw VerificationError.unusable("\(json): \(misfit)")
      }
    } catch let error as VerificationError {
      throw error
    } catch {
      throw .unusable("\(json): \(ReferenceCase.explain(error))")
    }
    do {
      tensors = try Safetensors(reading: stem + ".safetensors")
    } catch {
      throw .unusable("\(error)")
    }
  }

  /// The case of the same set and directory with another name.
  func sibling(_ name: String) throws(VerificationError) -> ReferenceCase {
    let directory = (path as NSString).deletingLastPathComponent
    let stem = ((path as NSString).lastPathComponent as NSString).deletingPathExtension
    let own = "_" + description.name
    let prefix = stem.hasSuffix(own) ? String(stem.dropLast(own.count)) : description.set ?? ""
    return try ReferenceCase(reading: (directory as NSString).appendingPathComponent("\(prefix)_\(name).json"))
  }

  // MARK: The JSON

  func unusable(_ detail: String) -> VerificationError { .unusable("\(path): \(detail)") }

  /// A setting that this group needs.
  func need<T>(_ value: T?, _ key: String) throws(VerificationError) -> T {
    guard let value else { throw unusable("no \(key)") }
    return value
  }

  func config<T>(_ key: KeyPath<CaseDescription.Config, T?>, _ name: String) throws(VerificationError) -> T {
    try need(description.config?[keyPath: key], "config.\(name)")
  }

  /// A size: a number of 1 or more, and small enough that products of a few do not overflow.
  func size(_ key: KeyPath<CaseDescription.Config, Int?>, _ name: String) throws(VerificationError) -> Int {
    let value = try config(key, name)
    guard 1...65_536 ~= value else { throw unusable("config.\(name) is \(value), must be 1 to 65536") }
    return value
  }

  // MARK: The tensors

  func has(_ name: String) -> Bool { tensors.tensor(name) != nil }

  /// - Throws: unless the file has the tensor, in this shape.
  func check(_ name: String, _ shape: Shape) throws(VerificationError) {
    guard let tensor = tensors.tensor(name) else {
      throw .unusable("\(tensors.path): no tensor \(name); expected one of shape \(shape)")
    }
    guard tensor.shape == shape.extents else {
      throw .unusable("\(tensors.path): tensor \(name) has shape \(tensor.shape), expected \(shape.extents)")
    }
  }

  func shape(_ name: String, rank: Int) throws(VerificationError) -> Shape {
    guard let tensor = tensors.tensor(name) else { throw .unusable("\(tensors.path): no tensor \(name)") }
    guard tensor.shape.count == rank, tensor.shape.allSatisfy({ $0 > 0 }) else {
      throw .unusable("\(tensors.path): tensor \(name) has shape \(tensor.shape), expected \(rank) axes of 1 or more")
    }
    return Shape(tensor.shape)
  }

  func values(_ name: String, _ shape: Shape) throws(VerificationError) -> [Double] {
    try check(name, shape)
    do {
      return try tensors.doubles(name)
    } catch {
      throw .unusable("\(error)")
    }
  }

  /// Class labels [count], each below `classes`.
  func labels(_ name: String, count: Int, classes: Int) throws(VerificationError) -> [Double] {
    let labels = try values(name, [count])
    guard let wrong = labels.first(where: { !(0..<Double(classes) ~= $0) }) else { return labels }
    throw .unusable("\(tensors.path): \(name) holds \(wrong), labels are below \(classes)")
  }

  private struct CaseName: Decodable {
    let name: String
  }

  private static func explain(_ error: any Error) -> String {
    func place(_ path: [any CodingKey]) -> String { path.map(\.stringValue).joined(separator: ".") }
    return switch error {
    case DecodingError.keyNotFound(let key, let context): "no \(place(context.codingPath + [key]))"
    case DecodingError.typeMismatch(let type, let context), DecodingError.valueNotFound(let type, let context):
      "\(place(context.codingPath)) is no \(type)"
    default: "not the JSON of a case"
    }
  }
}
