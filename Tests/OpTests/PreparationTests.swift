import GPU
import Graph
import Ops
import TestSupport
import Testing

/// What reads only frozen weights runs once, when a plan is made.
@Suite(.enabled(if: TestDevice.isPresent, TestDevice.absence))
struct PreparationTests {
  private static let weights = Parameter(name: "w", shape: [264, 1024], block: "w", offset: 0)

  /// x W, then back: the right operands are too large to be read as they lie, and packed before.
  private func program() throws -> Program {
    let graph = Graph()
    let w = graph.parameter(Self.weights)
    let wide = try graph.input("x", [512, 264]).matmul(w)
    return Program(graph, results: [try wide.gelu().matmul(w, transposing: .right)])
  }

  /// A device whose products lay operands out.
  private func packingDevice() throws -> Device {
    let device = try TestDevice.shared.get()
    guard device.traits.isSoftware, device.traits.maxTexelBufferElements >= 512 * 1024 / 4 else {
      try Test.cancel(
        "products of this size pack nothing on GPUs, nor where texel buffers have fewer than 131,072 elements")
    }
    return device
  }

  @Test func everyStepFindsWhatWasPrepared() throws {
    let device = try packingDevice()
    let layouts = try [[], ["w"]].map { PlanLayout(try program(), traits: device.traits, frozen: $0) }
    let prepared = layouts[1].prepared.reduce(0, +)
    try #require(prepared > 0)
    #expect(layouts[0].prepared.allSatisfy { $0 == 0 })
    #expect(layouts[1].dispatchCount == layouts[0].dispatchCount - prepared)

    let block = try device.makeBuffer(bytes: 4 * Self.weights.shape.count, kind: .device, label: "w")
    let values = (0..<Self.weights.shape.count).map { Float($0 * 31 % 17) / 17 - 0.5 }
    try values.withUnsafeBytes { try device.upload($0, to: block.whole) }
    let plans = try layouts.map { try Plan($0, on: device, blocks: ["w": block]) }
    for step in 0..<3 {
      let x = (0..<512 * 264).map { Float(($0 + step) * 7 % 13) / 13 }
      let results = try plans.map { plan in try plan.run { $0.set("x", x[...]) }.words() }
      #expect(results[0] == results[1], "step \(step)")
    }
  }

  /// Several passes through the same weights share what was prepared of them.
  @Test func whatIsPreparedAlikeIsKeptOnce() throws {
    let device = try packingDevice()
    func kept(_ passes: Int) throws -> Int {
      let graph = Graph()
      let w = graph.parameter(Self.weights)
      let results = try (0..<passes).map {
        try graph.input("x\($0)", [512, 1024]).matmul(w, transposing: .right).sum()
      }
      let layout = PlanLayout(Program(graph, results: results), traits: device.traits, frozen: ["w"])
      try #require(layout.prepared.reduce(0, +) == passes)
      return Set(zip(layout.scratch, layout.prepared).compactMap { $1 > 0 ? $0.first : nil }).count
    }
    #expect(try kept(1) == 1)
    #expect(try kept(3) == 1)
  }

  /// Weights that a step changes are prepared by every step.
  @Test func onlyFrozenBlocksCount() throws {
    let device = try TestDevice.shared.get()
    let layout = PlanLayout(try program(), traits: device.traits, frozen: ["other"])
    #expect(layout.prepared.allSatisfy { $0 == 0 })
  }
}
