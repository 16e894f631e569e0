import Foundation
import GPU
import Graph
import Ops
import Testing

/// One case of the catalog as a test argument. `GRAFT_OPS=add,fill` restricts the tests to some ops.
struct CatalogCase: Sendable, CustomTestStringConvertible {
  let op: String
  let opCase: OpCase

  var testDescription: String { "\(op) \(opCase.name)" }

  static let all: [CatalogCase] = {
    let chosen = ProcessInfo.processInfo.environment["GRAFT_OPS"]?.split(separator: ",").map(String.init)
    return catalog.filter { chosen?.contains($0.name) ?? true }.flatMap { op in
      op.cases.map { CatalogCase(op: op.name, opCase: $0) }
    }
  }()

  /// The first case of each op.
  static let firsts = Dictionary(grouping: all, by: \.op).values.compactMap(\.first).sorted { $0.op < $1.op }

  static let differentiable = all.filter(\.opCase.checksGradient)

  func site(_ traits: DeviceTraits) throws -> LaunchSite {
    let types = opCase.inputs.map(\.type)
    return LaunchSite(inputs: types, outputs: try opCase.op.infer(types), traits: traits)
  }

  /// The variants that the site's device may run.
  func variants(at site: LaunchSite) -> [Variant] {
    opCase.op.offers(site).filter { $0.misfit(opCase.op, site) == nil }
  }

  /// The generator of this case's numbers: the same in every run, another one for every case.
  var random: SplitMix64 {
    SplitMix64(seed: testDescription.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 })
  }

  /// Inputs whose numbers are exact in the device's types.
  func inputs(_ random: inout SplitMix64) -> [HostTensor] {
    opCase.inputs.map { input in
      let data: [Double]
      switch input.fill {
      case .normal(let deviation): data = (0..<input.type.count).map { _ in deviation * random.normal() }
      case .uniform(let low, let high): data = (0..<input.type.count).map { _ in low + (high - low) * random.uniform() }
      case .integers(let bound): data = (0..<input.type.count).map { _ in Double(random.next() % UInt64(bound)) }
      case .values(let values): data = values
      }
      return HostTensor(input.type, input.type.dtype == .f32 ? data.map { Double(Float($0)) } : data)
    }
  }
}

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
struct SplitMix64: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
    return z ^ z >> 31
  }

  /// In 0 ..< 1.
  mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// Mean 0, variance 1 (Box and Muller).
  mutating func normal() -> Double { (-2 * log(1 - uniform())).squareRoot() * cos(2 * .pi * uniform()) }
}

/// The worst element of `actual`, as text, if it is further from `expected` than allowed; integers must be equal.
/// - Parameter tolerance: relative to max(1, largest finite |expected|).
func deviation(of actual: [Double], from expected: HostTensor, tolerance: Double) -> String? {
  guard actual.count == expected.data.count else { return "\(actual.count) elements instead of \(expected.type)" }
  let scale = expected.data.lazy.filter(\.isFinite).map(abs).reduce(1, max)
  let allowed = expected.type.dtype == .f32 ? tolerance * scale : 0
  var worst: (index: Int, error: Double)?
  for (i, (a, e)) in zip(actual, expected.data).enumerated() where a != e && !(a.isNaN && e.isNaN) {
    let error = abs(a - e)
    let size = error.isFinite ? error : .infinity
    if size > allowed, size > worst?.error ?? 0 { worst = (i, size) }
  }
  return worst.map { "element \($0.index) is \(actual[$0.index]), not \(expected[$0.index]); allowed \(allowed)" }
}
