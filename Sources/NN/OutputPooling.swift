import Graph
import Ops

/// Latents vote on the class: a softmax of their confidences, with Gumbel noise (Jang et al. 2017), weighs their states.
package struct OutputPooling: Sendable {
  private let confidence: Linear
  private let logits: Linear

  /// - Parameter head: where the last projection's parameters go, if not to the others.
  package init(_ scope: Scope, head: Scope? = nil, state: Int, classes: Int) {
    let weights = Initializer.uniform(1 / Double(state).squareRoot())
    confidence = Linear(scope("confidence_scorer"), from: state, to: 1, weights: weights, biases: weights)
    logits = Linear((head ?? scope)("to_logits"), from: state, to: classes, weights: weights, biases: weights)
  }

  /// States (B, U, state) and noise (B, U) -> logits (B, N).
  package func callAsFunction(_ states: Value, noise: Value, _ forward: Forward) throws(ShapeError) -> Value {
    let (batch, count) = (states.shape[0], states.shape[1])
    let scores = try confidence(states, forward).reshaped([batch, count]) + noise
    let pooled = try scores.softmax().reshaped([batch, 1, count]).matmul(states)  // (B, 1, state)
    let y = try logits(pooled, forward)
    return try y.reshaped([batch, y.shape.last])
  }
}
