import Kernels
import ShaderReflection
import Synchronization

/// What a kernel of the engine needs, read out of its SPIR-V without a driver.
package struct KernelFacts: Sendable {
  /// Changes with any change of the code.
  package let fingerprint: UInt64
  /// Whether lanes of a subgroup exchange values.
  package let shuffles: Bool
  private let spirv: SPIRV

  private init(_ words: [UInt32]) {
    // FNV-1a, 64 bits, a word at a time.
    fingerprint = words.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    spirv = SPIRV(words: words)
    let (shuffle, relative): (UInt32, UInt32) = (65, 66)
    shuffles = spirv.capabilities.contains(shuffle) || spirv.capabilities.contains(relative)
  }

  /// Invocations in x, y, z.
  package func workgroupSize(_ constants: [SpecializationEntry]) -> [Int] { spirv.workgroupSize(constants.bits) }

  /// Of one workgroup; nil where it cannot be worked out.
  package func sharedBytes(_ constants: [SpecializationEntry]) -> Int? { spirv.sharedBytes(constants.bits) }

  /// The named specialization constants with their values, in order of their ids.
  package func named(_ constants: [SpecializationEntry]) -> [(name: String, bits: UInt32)] {
    let given = constants.bits
    let known = spirv.specializationConstants.compactMap { constant -> (id: UInt32, name: String, bits: UInt32)? in
      guard let id = spirv.decorations[constant.id]?[.specID], let name = spirv.names[constant.id] else { return nil }
      return (id, name, given[id] ?? constant.bits)
    }
    return known.sorted { $0.id < $1.id }.map { ($0.name, $0.bits) }
  }

  /// The facts of an embedded kernel, read once per process and known by the source's name.
  package static func of(_ source: KernelSource) -> KernelFacts {
    known.withLock { known in
      if let facts = known[source.name] { return facts }
      let facts = KernelFacts(source.words())
      known[source.name] = facts
      return facts
    }
  }

  private static let known = Mutex<[String: KernelFacts]>([:])
}

extension [SpecializationEntry] {
  /// Values by constant id.
  var bits: [UInt32: UInt32] { Dictionary(map { ($0.id, $0.bits) }) { first, _ in first } }
}
