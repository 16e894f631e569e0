import Graph
import Ops

/// Multi-head self-attention with one projection for queries, keys and values.
package struct SelfAttention: Sendable {
  let qkv: Linear
  let proj: Linear
  let heads: Int

  package init(_ scope: Scope, features: Int, heads: Int, qkvBias: Bool, weights: Initializer) {
    qkv = Linear(scope("qkv"), from: features, to: 3 * features, bias: qkvBias, weights: weights)
    proj = Linear(scope("proj"), from: features, to: features, weights: weights)
    self.heads = heads
  }

  package func callAsFunction(_ x: Value, _ forward: Forward) throws(ShapeError) -> Value {
    try proj(qkv(x, forward).attention(heads: heads), forward)  // (B, T, C)
  }
}
