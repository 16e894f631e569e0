/// What the build knows of one compute shader: its SPIR-V and what reflection read out of it.
///
/// `shadergen` compiles every `Shaders/*.comp` and writes, for `gelu_backward.comp`, one Swift file with an enum
/// `GeluBackwardKernel: ComputeKernel` whose nested `Push` and `Constants` mirror the shader's push-constant block and
/// specialization constants by name.
package struct KernelSource: Sendable {
  package enum BindingKind: Sendable { case storageBuffer, uniformTexelBuffer, storageTexelBuffer }

  /// Read from the `readonly` / `writeonly` qualifiers; barriers are derived from it, so declare them.
  package enum Access: Sendable {
    case read, write, readWrite

    package var reads: Bool { self != .write }
    package var writes: Bool { self != .read }
  }

  package struct Binding: Sendable {
    package let index: UInt32
    package let name: String
    package let kind: BindingKind
    package let access: Access

    package init(index: UInt32, name: String, kind: BindingKind, access: Access) {
      self.index = index
      self.name = name
      self.kind = kind
      self.access = access
    }
  }

  package struct Address: Sendable {
    /// Position in `bindings`.
    package let binding: Int
    /// Of the eight bytes among the push constants.
    package let offset: Int

    package init(binding: Int, offset: Int) {
      self.binding = binding
      self.offset = offset
    }
  }

  /// The shader's file name without its extension; of its wide form, with `_wide`.
  package let name: String
  /// Bindings of descriptor set 0, sorted by index; indices run 0, 1, 2, … without gaps.
  package let bindings: [Binding]
  package let pushConstantBytes: Int
  /// Bindings whose addresses the kernel takes among its push constants: the recorder writes them there.
  package let addresses: [Address]
  private let module: Module

  private enum Module {
    case base64(StaticString)
    case words([UInt32])
  }

  package init(
    name: String, bindings: [Binding], pushConstantBytes: Int, addresses: [Address] = [], base64: StaticString
  ) {
    self.name = name
    self.bindings = bindings
    self.pushConstantBytes = pushConstantBytes
    self.addresses = addresses
    module = .base64(base64)
  }

  /// A shader that was compiled at run time.
  package init(
    name: String, bindings: [Binding], pushConstantBytes: Int, addresses: [Address] = [], words: [UInt32]
  ) {
    self.name = name
    self.bindings = bindings
    self.pushConstantBytes = pushConstantBytes
    self.addresses = addresses
    module = .words(words)
  }

  /// LANES of wide forms that store lane by lane (`include/lane_stores.glsl`).
  package static let lanesID: UInt32 = 99
  /// Of BROADCASTS there, which no op sets.
  package static let broadcastsID: UInt32 = 98

  /// The SPIR-V module.
  package func words() -> [UInt32] {
    switch module {
    case .base64(let text): Self.decode(text)
    case .words(let words): words
    }
  }

  private static func decode(_ base64: StaticString) -> [UInt32] {
    base64.withUTF8Buffer { text in
      var words: [UInt32] = []
      words.reserveCapacity(text.count / 16 * 3)
      var bits: UInt32 = 0
      var bytes: UInt32 = 0
      var filled = 0
      for group in stride(from: 0, to: text.count, by: 4) {
        bits = 0
        var padding = 0
        for i in 0..<4 {
          let c = text[group + i]
          if c == UInt8(ascii: "=") { padding += 1 }
          bits = bits << 6 | sextet(c)
        }
        for i in 0..<(3 - padding) {
          bytes |= (bits >> UInt32(16 - 8 * i) & 0xff) << UInt32(8 * filled)
          filled += 1
          if filled == 4 {
            words.append(bytes)
            bytes = 0
            filled = 0
          }
        }
      }
      return words
    }
  }
}

private func sextet(_ c: UInt8) -> UInt32 {
  switch c {
  case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(c - UInt8(ascii: "A"))
  case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(c - UInt8(ascii: "a")) + 26
  case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(c - UInt8(ascii: "0")) + 52
  case UInt8(ascii: "+"): 62
  case UInt8(ascii: "/"): 63
  default: 0
  }
}

extension InlineArray where count == 64, Element == UInt8 {
  /// 0 ... 63, what wide forms find numbers in (`include/lane_stores.glsl`).
  package static var identity: Self { Self { UInt8($0) } }
}

/// Values for a shader's push-constant block, laid out exactly as the shader's std430 block (checked by `shadergen`); the narrow
/// form's is the beginning of the wide form's.
package protocol PushConstants: BitwiseCopyable, Sendable {}

/// Values for a shader's specialization constants.
package protocol SpecializationConstants: Sendable, Hashable {
  /// Constant id and the 32 bits of its value.
  var entries: [SpecializationEntry] { get }
}

package struct SpecializationEntry: Sendable, Hashable {
  package let id: UInt32
  package let bits: UInt32

  package init(id: UInt32, bits: UInt32) {
    self.id = id
    self.bits = bits
  }
}

/// A compiled shader with its argument types; conformers are generated.
package protocol ComputeKernel: Sendable {
  associatedtype Push: PushConstants
  associatedtype Constants: SpecializationConstants
  static var source: KernelSource { get }
  /// The form whose stores are of eight floats instead of four, for Mesa's software driver; nil
  /// where the shader has none (`include/span.glsl`). Its arguments are those of `source`.
  static var wide: KernelSource? { get }
}

extension ComputeKernel {
  package static var wide: KernelSource? { nil }
}

/// For shaders without a push-constant block.
package struct NoPush: PushConstants {
  package init() {}
}

/// For shaders without specialization constants.
package struct NoConstants: SpecializationConstants {
  package init() {}
  package var entries: [SpecializationEntry] { [] }
}
