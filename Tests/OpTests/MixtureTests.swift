import Foundation
import GPU
import Graph
import Ops
import TestSupport
import Testing

/// The whole path of a mixture of experts on the device - gate, route, experts, combine, residual - and its gradients,
/// against a loop over tokens and experts that knows neither slots nor sorting.
@Suite(.enabled(if: TestDevice.isPresent, TestDevice.absence))
struct MixtureTests {
  struct Setting: Sendable, CustomTestStringConvertible {
    let testDescription: String
    /// B, T, C, F, E, K.
    let (b, t, c, f, e, k): (Int, Int, Int, Int, Int, Int)
    /// Added to the logits of one expert: large to fill it, small to starve it.
    let favoured: (expert: Int, by: Double)

    init(
      _ name: String, _ b: Int, _ t: Int, _ c: Int, _ f: Int, experts: Int, k: Int, _ expert: Int = 0, by: Double = 0
    ) {
      testDescription = name
      (self.b, self.t, self.c, self.f, e, self.k) = (b, t, c, f, experts, k)
      favoured = (expert, by)
    }

    var shapes: [Shape] { [[b, t, e], [b, t, c], [e, f, c], [e, f], [e, c, f], [e, c]] }
  }

  static let settings = [
    Setting("uneven", 3, 17, 12, 20, experts: 4, k: 2, 1, by: 1.5),
    Setting("an expert without a token", 2, 9, 8, 12, experts: 3, k: 1, 1, by: -50),
    Setting("all tokens to one expert", 2, 33, 16, 8, experts: 4, k: 1, 2, by: 50),
    Setting("every expert picked", 2, 7, 7, 5, experts: 3, k: 3),
    Setting("one expert", 1, 11, 4, 6, experts: 1, k: 1),
    Setting("eight experts", 2, 17, 9, 13, experts: 8, k: 2),
    Setting("more experts than entries", 1, 21, 6, 3, experts: 64, k: 2),
  ]

  static let names = ["logits", "x", "w1", "b1", "w2", "b2"]

  @Test(arguments: settings)
  func forwardAndGradients(_ setting: Setting) throws {
    let device = try TestDevice.shared.get()
    var random = SplitMix64(seed: 7)
    let scales = [1, 1, 0.5, 0.5, 0.5, 0.5]
    var inputs = zip(setting.shapes, scales).map { shape, scale in
      (0..<shape.count).map { _ in Double(Float(scale * random.normal())) }
    }
    for i in inputs[0].indices where i % setting.e == setting.favoured.expert { inputs[0][i] += setting.favoured.by }

    let graph = Graph()
    let leaves = zip(Self.names, setting.shapes).map { graph.input($0, $1) }
    let (scores, experts) = try leaves[0].topKGate(k: setting.k)
    let routing = try experts.routed(experts: setting.e)
    let x = leaves[1]
    let hidden = try x.groupedMatmul(leaves[2], bias: leaves[3], transposing: .right, routing: routing, gathering: true)
      .gelu()
    let mixed = try hidden.groupedMatmul(
      leaves[4], bias: leaves[5], transposing: .right, routing: routing, gathering: false)
    let y = try x + mixed.combined(scores: scores, slots: routing.slots, leading: [setting.b, setting.t])
    // GELU behind it gives every element a cotangent of its own.
    let gradients = try graph.gradients(of: y.gelu(), withRespectTo: leaves).map { try #require($0) }

    let program = Program(graph, results: [y] + gradients)
    #expect(program.nodes.filter { $0.op is Add }.isEmpty, "both residuals are drawn into their producers")
    let plan = try Plan(PlanLayout(program, traits: device.traits), on: device, blocks: [:], slots: 1)
    let run = try plan.run { feed in
      for (name, values) in zip(Self.names, inputs) { feed.set(name, values.map { Float($0) }[...]) }
    }

    // Submitted op by op, with tensors in several buffers, it computes the same.
    var traits = device.traits
    let largest = PlanLayout(program, traits: traits).launches.flatMap(\.scratch) + program.types
    traits.maxAllocationBytes = largest.map { MemoryPlan.aligned($0.bytes) }.max() ?? 0
    let layout = PlanLayout(program, traits: traits)
    #expect(layout.misfit == nil && layout.arenaBytes > 2 * layout.arenaBufferBytes)
    let split = try Plan(layout, on: device, blocks: [:], slots: 1, profiling: device.plan.hasTimestamps, longest: 0)
    traits.maxAllocationBytes -= 256
    #expect(PlanLayout(program, traits: traits).misfit?.contains("where one buffer has") == true)
    let parts = try split.run { feed in
      for (name, values) in zip(Self.names, inputs) { feed.set(name, values.map { Float($0) }[...]) }
    }
    for i in 0..<program.results.count { #expect(try parts.words(i) == run.words(i)) }
    #expect(program.parts(longest: 0).count == program.nodes.count && program.parts(longest: 1).count == 1)
    #expect(try split.opSeconds()?.count == (device.plan.hasTimestamps ? program.nodes.count : nil))

    let expected = HostTensor(y.shape, naive(inputs, setting))
    let worst = deviation(of: try run.floats(0).map(Double.init), from: expected, tolerance: 1e-5)
    #expect(worst == nil)

    for (i, name) in Self.names.enumerated() {
      let gradient = try run.floats(1 + i).map(Double.init)
      for _ in 0..<4 {
        let direction = gradient.map { _ in random.normal() }
        func loss(_ step: Double) -> Double {
          var moved = inputs
          moved[i] = zip(inputs[i], direction).map { $0 + step * $1 }
          return naive(moved, setting).reduce(0) { $0 + gelu($1) }
        }
        let slope = (loss(1e-5) - loss(-1e-5)) / 2e-5
        let along = zip(gradient, direction).reduce(0) { $0 + $1.0 * $1.1 }
        let size = zip(gradient, direction).reduce(0) { $0 + abs($1.0 * $1.1) }
        #expect(abs(along - slope) <= 1e-4 * size + 1e-6, "d \(name): \(along), not \(slope)")
      }
    }
  }

  /// x + sum over the K best experts of softmax(their logits) expert(x).
  private func naive(_ inputs: [[Double]], _ setting: Setting) -> [Double] {
    let (logits, x, w1, b1, w2, b2) = (inputs[0], inputs[1], inputs[2], inputs[3], inputs[4], inputs[5])
    let (c, f, e) = (setting.c, setting.f, setting.e)
    var y = x
    for t in 0..<setting.b * setting.t {
      let best = (0..<e).sorted { logits[t * e + $0] > logits[t * e + $1] }.prefix(setting.k)
      let total = best.reduce(0) { $0 + exp(logits[t * e + $1]) }
      for expert in best {
        let hidden = (0..<f).map { j in
          gelu((0..<c).reduce(b1[expert * f + j]) { $0 + w1[(expert * f + j) * c + $1] * x[t * c + $1] })
        }
        for i in 0..<c {
          let out = (0..<f).reduce(b2[expert * c + i]) { $0 + w2[(expert * c + i) * f + $1] * hidden[$1] }
          y[t * c + i] += exp(logits[t * e + expert]) / total * out
        }
      }
    }
    return y
  }

  private func gelu(_ x: Double) -> Double { 0.5 * x * (1 + erf(x / 2.0.squareRoot())) }
}
