import GPU
import Graph
import Kernels

/// Sorts the work of a mixture of experts by expert: experts u32 [tokens, K] -> offsets [E + 1], entries [tokens K],
/// slots [tokens K], all u32.
///
/// An entry is one (token, expert) pair, numbered token * K + k; a slot is its place when entries are sorted by expert.
/// Slots of one expert keep the order of their entries, so the same experts give the same bits everywhere downstream.
/// `entries[slot]` is the entry in a slot, `slots[entry]` the inverse, and expert e owns the slots
/// `offsets[e] ..< offsets[e + 1]`. A counting sort in three dispatches (docs/routing.md); no gradient.
package struct Route: Op {
  package static let name = "route"
  let experts: Int

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard inputs[0].dtype == .u32, inputs[0].shape.rank == 2, experts >= 1 else {
      throw mismatch(inputs, "wants u32 [tokens, K] of \(experts) experts")
    }
    let entries = TensorType([inputs[0].count], .u32)
    return [TensorType([experts + 1], .u32), entries, entries]
  }

  /// Entries per chunk. A chunk's places cost the square of its length, and the table of experts x chunks costs its
  /// inverse; 32 balances both for few experts, and the table stays below two words per entry for many.
  /// A GPU hides the first cost and runs the scan on one workgroup, so there chunks are longer.
  package static func chunk(experts: Int, traits: DeviceTraits) -> Int {
    let least = traits.isSoftware ? max(32, (experts + 1) / 2) : max(128, experts)
    return min(1024, (0...).lazy.map { 1 << $0 }.first { $0 >= least } ?? 1024)
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let entries = site.inputs[0].count
    let chunk = Self.chunk(experts: experts, traits: site.traits)
    let chunks = (entries + chunk - 1) / chunk
    let table = TensorType([experts * chunks], .u32)
    let lanes = site.traits.isSoftware ? 64 : min(1024, site.traits.maxWorkgroupInvocations)
    return Launch(
      scratch: [table, table],
      [
        Dispatch(
          RouteCountKernel.self, constants: .init(CHUNK: UInt32(chunk)),
          push: .init(entries: UInt32(entries), E: UInt32(experts), chunks: UInt32(chunks)),
          [.input(0).texels(.rgba32ui), .scratch(0)], groups: .linear((experts + 3) / 4 * chunks, perGroup: 64)),
        Dispatch(
          RouteScanKernel.self, constants: .init(LANES: UInt32(lanes)),
          push: .init(count4: UInt32((table.count + 3) / 4)),
          [.scratch(0).texels(.rgba32ui), .scratch(1)], groups: GroupCount(1)),
        Dispatch(
          RoutePlaceKernel.self, constants: .init(CHUNK: UInt32(chunk)),
          push: .init(count: UInt32(entries), E: UInt32(experts), chunks: UInt32(chunks)),
          [.input(0).texels(.rgba32ui), .scratch(1).texels(.r32ui), .output(0), .output(1), .output(2)],
          groups: .linear(max(entries, experts + 1), perGroup: 64)),
      ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] { [nil] }

  package func fills(_ inputs: [TensorType]) -> [OpCase.Fill] { [.integers(below: experts)] }

  /// Offsets, entries and slots of a plausible routing, for ops that take one.
  static func fills(slots: Int, experts: Int) -> [OpCase.Fill] {
    let picks = (0..<slots).map { Double(UInt32(truncatingIfNeeded: $0) &* 2_654_435_769 >> 8 % UInt32(experts)) }
    return Route(experts: experts).reference([HostTensor(TensorType([slots, 1], .u32), picks)]).map { .values($0.data) }
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let picks = inputs[0].data
    let entries = picks.indices.sorted { (picks[$0], $0) < (picks[$1], $1) }
    var slots = HostTensor(zeros: TensorType([picks.count], .u32))
    for (slot, entry) in entries.enumerated() { slots[entry] = Double(slot) }
    let offsets = (0...experts).map { e in Double(picks.count { $0 < Double(e) }) }
    return [
      HostTensor(TensorType([experts + 1], .u32), offsets),
      HostTensor(slots.type, entries.map(Double.init)), slots,
    ]
  }

  package static let cases =
    [(1, 1, 1), (7, 3, 3), (65, 2, 4), (129, 1, 8), (600, 2, 64), (37, 8, 300), (3000, 2, 256)].map { t, k, e in
      OpCase("\(t)x\(k), \(e)", Route(experts: e), [.init([t, k], .u32, .integers(below: e))], checksGradient: false)
    } + [
      OpCase(
        "all to one", Route(experts: 4), [.init([70, 1], .u32, .values(Array(repeating: 2, count: 70)))],
        checksGradient: false),
      OpCase(
        "an expert without a token", Route(experts: 5),
        [.init([43, 2], .u32, .values((0..<86).map { Double($0 % 2 * 3) }))], checksGradient: false),
    ]
}

/// The index tensors of a mixture of experts, as `Route` defines them.
package struct Routing {
  /// [E + 1]: expert e owns the slots `offsets[e] ..< offsets[e + 1]`.
  package let offsets: Value
  /// [tokens K]: slot -> entry; the token of slot s is `entries[s] / K`.
  package let entries: Value
  /// [tokens K]: entry -> slot.
  package let slots: Value
}

extension Value {
  /// Sorts the chosen experts u32 [tokens, K], each below `experts`, by expert.
  package func routed(experts: Int) throws(ShapeError) -> Routing {
    let outputs = try graph.apply(Route(experts: experts), to: [self])
    return Routing(offsets: outputs[0], entries: outputs[1], slots: outputs[2])
  }
}
