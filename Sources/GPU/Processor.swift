import Foundation

/// The longest loop that a processor runs from its cache of decoded instructions, as far as the loops of products tell such apart
/// (docs/matmul.md): Zen 3, and whatever was not measured, then Zen 4, then Zen 5 and Intel's Golden Cove.
package enum LongestLoop: Sendable, CaseIterable {
  case instructions2000, instructions3600, instructions4000
}

/// The processor that software drivers compute on.
package struct Processor: Sendable, Hashable, CustomStringConvertible {
  /// How many, the name, and the family and model, since virtual machines give different ones the same name.
  package let description: String
  /// What it can do, by the names that Linux uses.
  package let features: Set<String>
  /// The longest loop that it runs from its cache of decoded instructions.
  package let longestLoop: LongestLoop

  /// - Parameter text: of `/proc/cpuinfo`.
  package init(_ text: String, count: Int) {
    let lines = text.split(separator: "\n")
    func value(_ name: String) -> String? {
      let line = lines.first { $0.prefix { $0 != "\t" && $0 != ":" } == name }
      return line?.split(separator: ": ", maxSplits: 1).dropFirst().first.map(String.init)
    }
    let numbers = ["cpu family", "model"].compactMap { name in value(name).map { "\(name) \($0)" } }
    description = "\(count) x \(([value("model name") ?? "processor"] + numbers).joined(separator: ", "))"
    features = Set((value("flags") ?? "").split(separator: " ").map(String.init))
    longestLoop =
      switch (value("vendor_id"), value("cpu family")) {
      case ("AuthenticAMD", "26"): .instructions4000  // Zen 5
      case ("GenuineIntel", "6") where features.contains("avx512_fp16"): .instructions4000  // Sapphire Rapids and later
      case ("AuthenticAMD", "25") where features.contains("avx512f"): .instructions3600  // Zen 4
      default: .instructions2000
      }
  }

  package static let current = Processor(
    (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? "",
    count: ProcessInfo.processInfo.activeProcessorCount)

  /// Whether it has vectors of 512 bits with all that compilers use of them (x86-64-v4).
  package var has512Bits: Bool { features.isSuperset(of: ["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]) }
}
