import Graph
import Ops

/// Experts behind a learned gate: every token goes to the `k` experts with the largest gate logits, and their outputs are
/// mixed with the softmax of those logits. No capacity, no noise, no balance loss, as the reference's fastmoe layer.
package struct MixtureOfExperts: Sendable {
  let gate: Linear
  let htoh4Weight: Parameter  // (E, F, C)
  let htoh4Bias: Parameter  // (E, F)
  let h4tohWeight: Parameter  // (E, C, F)
  let h4tohBias: Parameter  // (E, C)
  let experts: Int
  let k: Int

  package init(
    _ scope: Scope, features: Int, hidden: Int, experts: Int, k: Int, gate weights: Initializer,
    expertFanIn: ExpertFanIn
  ) {
    gate = Linear(scope("gate")("gate"), from: features, to: experts, weights: weights)
    let each = scope("experts")("*")
    htoh4Weight = each.parameter(
      "htoh4.weight", [experts, hidden, features], .uniform(expertFanIn.bound(from: features, to: hidden)))
    htoh4Bias = each.parameter("htoh4.bias", [experts, hidden], .zeros)
    h4tohWeight = each.parameter(
      "h4toh.weight", [experts, features, hidden], .uniform(expertFanIn.bound(from: hidden, to: features)))
    h4tohBias = each.parameter("h4toh.bias", [experts, features], .zeros)
    self.experts = experts
    self.k = k
  }

  package func callAsFunction(_ x: Value, _ forward: Forward) throws(ShapeError) -> Value {
    let (scores, chosen) = try gate(x, forward).topKGate(k: k)  // (tokens, K) each
    let routing = try chosen.routed(experts: experts)
    // (tokens K, F), rows sorted by expert
    let hidden = try x.groupedMatmul(
      forward(htoh4Weight), bias: forward(htoh4Bias), transposing: .right, routing: routing, gathering: true
    ).gelu()
    let mixed = try hidden.groupedMatmul(
      forward(h4tohWeight), bias: forward(h4tohBias), transposing: .right, routing: routing, gathering: false)
    return try mixed.combined(scores: scores, slots: routing.slots, leading: Shape(x.shape.extents.dropLast()))
  }
}

/// Which fan-in bounds the uniform start of expert weights.
package enum ExpertFanIn: String, Sendable, Hashable, Codable {
  /// The reference: torch reads the 3-d weight (1, out, in) as having fan-in out * in, so experts start near zero.
  case fastmoe
  /// As `nn.Linear` does: fan-in is the number of inputs.
  case linear

  func bound(from input: Int, to output: Int) -> Double {
    1 / Double(self == .fastmoe ? input * output : input).squareRoot()
  }
}
