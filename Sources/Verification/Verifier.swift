import Foundation
import GPU
import Graph

/// Recomputes cases of the reference implementation on a device and compares.
package struct Verifier {
  private let device: Device
  private let choices: Choices

  package init(device: Device, choices: Choices = .defaults) {
    self.device = device
    self.choices = choices
  }

  /// - Parameter path: of the JSON file of a case.
  /// - Throws: if the case cannot be recomputed; one that differs is a report.
  package func verify(_ path: String) throws(VerificationError) -> CaseReport {
    let file = try ReferenceCase(reading: path)
    var recomputation = Recomputation(file, choices: choices)
    do {
      let comparisons = try compare(&recomputation)
      let name = ((file.path as NSString).lastPathComponent as NSString).deletingPathExtension
      return CaseReport(
        name: name, comparisons: comparisons, leftOver: recomputation.leftOver, isFrame: recomputation.isFrame)
    } catch let error as VerificationError {
      throw error
    } catch let error as VulkanError {
      throw .device("\(file.path): \(error)")
    } catch {
      throw file.unusable("\(error)")
    }
  }

  private func compare(_ recomputation: inout Recomputation) throws -> [Comparison] {
    switch recomputation.file.group {
    case .visionTransformer: try recomputation.visionTransformer(on: device)
    case .modularTraining: try recomputation.modularTraining(on: device)
    case .pair where recomputation.file.description.name.hasSuffix("common"): try recomputation.pairFrame(on: device)
    case .pair: try recomputation.pair(on: device)
    case .visionMoE: try recomputation.visionMoE(on: device)
    case .circuitPair where recomputation.file.description.name.hasSuffix("common"):
      try recomputation.circuitFrame()
    case .circuitPair: try recomputation.circuitPair(on: device)
    case .circuit: try recomputation.circuit(on: device)
    case .graphPriors: try recomputation.graphPriors()
    case .adamW: try recomputation.adamW(on: device)
    case .schedule: try recomputation.schedule()
    case .loss: try recomputation.losses(on: device)
    case .dropPath: try recomputation.dropPath(on: device)
    }
  }

  /// The cases of a directory: JSON files with a safetensors file beside them, by name.
  package static func cases(in directory: String) throws(VerificationError) -> [String] {
    do {
      let names = Set(try FileManager.default.contentsOfDirectory(atPath: directory))
      return names.filter { $0.hasSuffix(".json") && names.contains($0.dropLast(5) + ".safetensors") }.sorted().map {
        (directory as NSString).appendingPathComponent($0)
      }
    } catch {
      throw .unusable("\(directory): cannot be listed; check that it is a directory and may be read")
    }
  }
}
