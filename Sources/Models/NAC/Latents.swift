import Graph
import NN
import Ops

/// What latents are: a code says what each does, a signature whom it listens to.
struct Latents: Sendable {
  let count: Int
  let codes: Parameter  // (U, code)
  let signatures: Parameter  // (U, signature)

  init(_ scope: Scope, count: Int, code: Int, signature: Int) {
    self.count = count
    signatures = scope.parameter("signatures_", [count, signature], .normal(1))
    codes = scope.parameter("codes_", [count, code], .normal(1))
  }
}

/// First states of latents, drawn around what their codes say: mu + z exp(log variance / 2).
struct LatentSeeder: Sendable {
  private let layernorm: NN.LayerNorm
  private let mean: Linear
  private let logVariance: Linear
  private let state: Int

  init(_ scope: Scope, code: Int, state: Int) {
    let weights = Initializer.uniform(1 / Double(code).squareRoot())
    layernorm = NN.LayerNorm(scope("layernorm"), code, eps: 1e-5)
    mean = Linear(scope("code_to_state_mu"), from: code, to: state, weights: weights, biases: weights)
    logVariance = Linear(
      scope("code_to_state_logvar"), from: code, to: state, weights: weights, biases: .constant(-5))
    self.state = state
  }

  /// Codes (U, code) and normal numbers z (B, U, state) -> (B, U, state).
  func callAsFunction(_ codes: Value, z: Value, _ forward: Forward) throws(ShapeError) -> Value {
    let h = try layernorm(codes, forward)
    let deviation = try logVariance(h, forward).exponential(factor: 0.5)  // (U, state)
    let means = try forward.graph.fill(z.shape, with: 1).scaledColumns(by: mean(h, forward))
    return try z.scaledColumns(by: deviation) + means
  }
}

/// The random numbers of a circuit, by name; evaluation draws too.
package struct CircuitNoise {
  package typealias Draw = (String, Shape, Noise.Distribution) throws(ShapeError) -> Value

  private let draw: Draw

  package init(_ draw: @escaping Draw) { self.draw = draw }

  /// New numbers in each step, of the pass that they are drawn in.
  package init(_ forward: Forward) {
    self.init { (name, shape, distribution) throws(ShapeError) in try forward.noise(name, shape, distribution) }
  }

  func callAsFunction(
    _ name: String, _ shape: Shape, _ distribution: Noise.Distribution
  ) throws(ShapeError) -> Value {
    try draw(name, shape, distribution)
  }
}
