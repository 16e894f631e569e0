import ArgumentParser
import GPU
import Random
import ShaderCompiler
import ShaderReflection

/// `TYPE:COUNT:FILL[:FORMAT]`, e.g. `f32:1048576:normal` or `f32:4096:zero:rgba32f`.
struct ShaderBuffer: ExpressibleByArgument {
  enum Element: String, CaseIterable {
    case f32, f16, i32, u32, u8

    var bytes: Int {
      switch self {
      case .f32, .i32, .u32: 4
      case .f16: 2
      case .u8: 1
      }
    }

    /// How texels of it are read where nothing else is asked for.
    var format: TexelFormat {
      switch self {
      case .f32: .r32f
      case .f16: .rgba16f
      case .i32: .r32i
      case .u32: .r32ui
      case .u8: .r8ui
      }
    }
  }

  enum Fill {
    case normal, uniform, index
    case value(Double)
  }

  let element: Element
  let count: Int
  let fill: Fill
  let format: TexelFormat?
  private let text: String

  static let help: ArgumentHelp = """
    A buffer for the next binding, TYPE:COUNT:FILL[:FORMAT]: f32, f16, i32, u32 or u8; normal, uniform (0 to 1; integers \
    0 to 255), index, zero, one or a number; for texel buffers how a texel is read, e.g. rgba32f.
    """

  init?(argument: String) {
    let parts = argument.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    guard 3...4 ~= parts.count, let element = Element(rawValue: parts[0]), let count = Int(parts[1]),
      1...(1 << 32) ~= count
    else { return nil }
    self.element = element
    self.count = count
    switch parts[2] {
    case "normal": fill = .normal
    case "uniform": fill = .uniform
    case "index": fill = .index
    case "zero": fill = .value(0)
    case "one": fill = .value(1)
    default:
      guard let value = Double(parts[2]), element.holds(value) else { return nil }
      fill = .value(value)
    }
    format = parts.count == 4 ? TexelFormat.allCases.first { "\($0)" == parts[3] } : nil
    guard parts.count == 3 || format != nil else { return nil }
    text = argument
  }

  var defaultValueDescription: String { text }
  var bytes: Int { count * element.bytes }

  /// The contents; the same in every run.
  func contents(stream: String) -> [UInt8] {
    var random = CounterRandom(seed: 0, stream: stream)
    let isFloat = element == .f32 || element == .f16
    var bytes = [UInt8](repeating: 0, count: self.bytes)
    bytes.withUnsafeMutableBytes { bytes in
      for i in 0..<count {
        let value: Double
        switch fill {
        case .normal: value = isFloat ? random.normal() : (random.normal() * 16 + 128).rounded().clamped(to: 0...255)
        case .uniform: value = isFloat ? random.uniform() : (random.uniform() * 256).rounded(.down)
        case .index: value = Double(i % (1 << 24))
        case .value(let constant): value = constant
        }
        element.store(value, at: i, in: bytes)
      }
    }
    return bytes
  }
}

extension Double {
  fileprivate func clamped(to range: ClosedRange<Double>) -> Double {
    Swift.min(Swift.max(self, range.lowerBound), range.upperBound)
  }
}

extension ShaderBuffer.Element {
  fileprivate func holds(_ value: Double) -> Bool {
    switch self {
    case .f32, .f16: true
    case .i32: Int32(exactly: value) != nil
    case .u32: UInt32(exactly: value) != nil
    case .u8: UInt8(exactly: value) != nil
    }
  }

  fileprivate func store(_ value: Double, at i: Int, in bytes: UnsafeMutableRawBufferPointer) {
    switch self {
    case .f32: bytes.storeBytes(of: Float(value), toByteOffset: 4 * i, as: Float.self)
    case .f16: bytes.storeBytes(of: Float16(value), toByteOffset: 2 * i, as: Float16.self)
    case .i32: bytes.storeBytes(of: Int32(value), toByteOffset: 4 * i, as: Int32.self)
    case .u32: bytes.storeBytes(of: UInt32(value), toByteOffset: 4 * i, as: UInt32.self)
    case .u8: bytes.storeBytes(of: UInt8(Int(value) & 0xff), toByteOffset: i, as: UInt8.self)
    }
  }

  func load(_ i: Int, in bytes: [UInt8]) -> Double {
    bytes.withUnsafeBytes { bytes in
      switch self {
      case .f32: Double(bytes.loadUnaligned(fromByteOffset: 4 * i, as: Float.self))
      case .f16: Double(bytes.loadUnaligned(fromByteOffset: 2 * i, as: Float16.self))
      case .i32: Double(bytes.loadUnaligned(fromByteOffset: 4 * i, as: Int32.self))
      case .u32: Double(bytes.loadUnaligned(fromByteOffset: 4 * i, as: UInt32.self))
      case .u8: Double(bytes[i])
      }
    }
  }
}

/// `X`, `X,Y` or `X,Y,Z` workgroups.
struct ShaderGroups: ExpressibleByArgument, CustomStringConvertible {
  let counts: [Int]

  init?(argument: String) {
    let parts = argument.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
    guard 1...3 ~= parts.count, parts.allSatisfy({ 1...Int(UInt32.max) ~= $0 }) else { return nil }
    counts = parts + Array(repeating: 1, count: 3 - parts.count)
  }

  var description: String { counts.map(String.init).joined(separator: "x") }
  var defaultValueDescription: String { description }
}

extension RuntimeShader {
  /// What each binding gets, checked against what the shader declares.
  func bound(_ buffers: [ShaderBuffer]) throws(BenchError) -> [(buffer: ShaderBuffer, format: TexelFormat?)] {
    let path = module.path
    guard buffers.count == interface.bindings.count else {
      let declared = interface.bindings.map { "\($0.index) \($0.name)" }.joined(separator: ", ")
      let reason =
        buffers.count < interface.bindings.count
        ? "missing: \(interface.bindings[buffers.count...].map(\.name).joined(separator: ", "))"
        : "\(buffers.count - interface.bindings.count) too many"
      throw BenchError(
        "\(path) declares \(interface.bindings.count) bindings (\(declared)), --buffer was given \(buffers.count) times; "
          + reason)
    }
    var bound: [(ShaderBuffer, TexelFormat?)] = []
    for (buffer, binding) in zip(buffers, interface.bindings) {
      let what = "\(path): binding \(binding.index) (\(binding.name))"
      guard let texel = binding.texel else {
        guard buffer.format == nil else { throw BenchError("\(what) is a storage buffer: give it no texel format") }
        bound.append((buffer, nil))
        continue
      }
      let declared = texel.declaredFormat
      let format = buffer.format ?? declared ?? buffer.element.format
      if texel.format != 0, declared != format {
        let name = declared.map { "\($0)" } ?? "a format that Graft does not bind"
        throw BenchError("\(what) is declared as \(name), given \(format)")
      }
      guard format.component == texel.component else {
        throw BenchError("\(what) has texels of \(texel.component), format \(format) has \(format.component)")
      }
      guard buffer.bytes % format.bytes == 0 else {
        throw BenchError("\(what): \(buffer.bytes) bytes are no whole number of \(format) texels")
      }
      bound.append((buffer, format))
    }
    return bound
  }

  /// The push-constant block from `int:1024,float:0.5` or `1024,0.5`.
  func pushBlock(_ text: String?) throws(BenchError) -> [UInt8] {
    var places: [PushPlace] = []
    for member in interface.push { member.type.flatten(member.name, at: member.offset, into: &places) }
    let values = text.map { $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init) } ?? []
    guard values.count == places.count else {
      let declared = places.map { "\($0.name) \($0.scalar)" }.joined(separator: ", ")
      throw BenchError(
        "\(module.path) declares \(places.count) push constants\(places.isEmpty ? "" : " (\(declared))"), "
          + "--push gives \(values.count)")
    }
    var block = [UInt8](repeating: 0, count: interface.pushBytes)
    for (value, place) in zip(values, places) {
      let parts = value.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      let type = "\(place.scalar)"
      let fits = parts.count == 1 || parts[0] == type || Set([parts[0], type]) == ["int", "uint"]
      guard fits, let bits = place.scalar.bits(of: parts[parts.count - 1]), place.bytes == 4 || bits < 256 else {
        throw BenchError("\(module.path): push constant \(place.name) is \(place.scalar), --push gives '\(value)'")
      }
      withUnsafeBytes(of: bits) {
        block.replaceSubrange(place.offset..<place.offset + place.bytes, with: $0.prefix(place.bytes))
      }
    }
    return block
  }

  /// Every specialization constant, those of `ID=VALUE` and `NAME=VALUE` changed.
  /// - Parameter ignoringUnknown: leave out what the shader does not declare.
  func constants(_ texts: [String], ignoringUnknown: Bool = false) throws(BenchError) -> [UInt32: UInt32] {
    var entries = Dictionary(uniqueKeysWithValues: interface.constants.map { ($0.id, $0.bits) })
    for text in texts {
      let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
      guard parts.count == 2 else { throw BenchError("--constant \(text): expected ID=VALUE or NAME=VALUE") }
      guard let constant = interface.constants.first(where: { $0.name == parts[0] || String($0.id) == parts[0] }) else {
        if ignoringUnknown { continue }
        let declared = interface.constants.map { "\($0.id) \($0.name)" }.joined(separator: ", ")
        throw BenchError(
          "--constant \(text): \(module.path) declares \(declared.isEmpty ? "no constants" : "only \(declared)")")
      }
      guard let bits = constant.scalar.bits(of: parts[1]) else {
        throw BenchError("--constant \(text): \(constant.name) is \(constant.scalar)")
      }
      entries[constant.id] = bits
    }
    return entries
  }
}

extension SPIRV.Scalar {
  fileprivate func bits(of text: String) -> UInt32? {
    switch self {
    case .bool: ["true": 1, "1": 1, "false": 0, "0": 0][text]
    case .int: Int32(text).map(UInt32.init(bitPattern:))
    case .uint: UInt32(text)
    case .float: Float(text)?.bitPattern
    }
  }
}

/// A number in the push-constant block.
private struct PushPlace {
  let name: String
  let scalar: SPIRV.Scalar
  let offset: Int
  var bytes = 4
}

extension ShaderInterface.PushType {
  fileprivate func flatten(_ name: String, at offset: Int, into places: inout [PushPlace]) {
    switch self {
    case .scalar(let scalar): places.append(PushPlace(name: name, scalar: scalar, offset: offset))
    case .byte: places.append(PushPlace(name: name, scalar: .uint, offset: offset, bytes: 1))
    case .vector(let scalar, let count):
      for i in 0..<count {
        places.append(PushPlace(name: "\(name).\(["x", "y", "z", "w"][i % 4])", scalar: scalar, offset: offset + 4 * i))
      }
    case .array(let element, let count, let stride):
      for i in 0..<count { element.flatten("\(name)[\(i)]", at: offset + stride * i, into: &places) }
    }
  }
}

extension ShaderInterface.Texel {
  /// `ImageFormat` of the SPIR-V specification, section 3.11.
  fileprivate var declaredFormat: TexelFormat? {
    switch format {
    case 1: .rgba32f
    case 2: .rgba16f
    case 3: .r32f
    case 24: .r32i
    case 30: .rgba32ui
    case 32: .rgba8ui
    case 33: .r32ui
    case 39: .r8ui
    default: nil
    }
  }
}

extension TexelFormat {
  fileprivate var component: SPIRV.Scalar {
    switch self {
    case .rgba32f, .r32f, .rgba16f: .float
    case .r32i: .int
    case .rgba32ui, .r32ui, .rgba8ui, .r8ui: .uint
    }
  }
}
