import Graph
import Ops

/// Pre-norm feed-forward branch of latents: x + gamma * ModFC(GEGLU(ModFC(LN x))).
package struct ModulatedFFN: Sendable {
  private let layernorm: LayerNorm
  private let enter: ModulatedLinear
  private let leave: ModulatedLinear
  private let gamma: Parameter
  private let dropPath: Double
  private let name: String

  /// - Parameters:
  ///   - capacity: hidden features for each feature of a state.
  ///   - gamma: where the layer scale starts.
  package init(
    _ scope: Scope, name: String, state: Int, codes: Int, capacity: Double, gamma start: Double, dropPath: Double = 0
  ) {
    let hidden = Int((capacity * Double(state)).rounded(.toNearestOrEven))
    layernorm = LayerNorm(scope("layernorm"), state, eps: 1e-5)
    enter = ModulatedLinear(scope("ffn")("0"), from: state, to: 2 * hidden, codes: codes)
    leave = ModulatedLinear(scope("ffn")("2"), from: hidden, to: state, codes: codes)
    gamma = scope("layer_scale").parameter("gamma", [state], .constant(start))
    self.dropPath = dropPath
    self.name = name
  }

  package func callAsFunction(_ x: Value, codes: Value, _ forward: Forward) throws(ShapeError) -> Value {
    let hidden = try enter(x, norm: layernorm, codes: codes, forward).geglu()
    let branch = try leave(hidden, codes: codes, forward).scaledColumns(by: forward(gamma))
    return try x + forward.dropPath(branch, rate: dropPath, name: "\(name) ffn")
  }
}
