import Graph
import Ops

/// Latents attend to tokens of another width whose keys and values are modulated by the *receiver's* code:
/// [receivers +] gamma * ModFC(attention).
///
/// Taken literally, every token is projected once for every receiver. With s_u what receiver u multiplies features by, and
/// per head, q_u . W_k (x_v * s_u) = (s_u * W_k^T q_u) . x_v and sum_v a_uv W_v (x_v * s_u) = W_v (s_u * sum_v a_uv x_v): so
/// projections move to the receivers, and tokens are only read. Instead of 4 B U V C inner multiplications for the
/// projections of B samples, U receivers, V tokens of C features and inner = H D there are 4 B U V C H for scores and
/// mixtures and 4 B U C inner beside: about the head dimension D fewer, and in memory H V against 2 V inner numbers for
/// each receiver.
package struct ReadInAttention: Sendable {
  private let receiverNorm: LayerNorm
  private let senderNorm: LayerNorm
  private let query: ModulatedLinear
  private let key: ModulatedLinear
  private let value: ModulatedLinear
  private let exit: ModulatedLinear
  private let gamma: Parameter
  private let heads: Int
  private let headDimension: Int

  package init(_ scope: Scope, state: Int, codes: Int, tokens: Int, heads: Int, headDimension: Int) {
    let inner = heads * headDimension
    receiverNorm = LayerNorm(scope("receiver_layernorm"), state, eps: 1e-5)
    senderNorm = LayerNorm(scope("sender_layernorm"), tokens, eps: 1e-5)
    query = ModulatedLinear(scope("query_compiler"), from: state, to: inner, codes: codes, bias: false)
    key = ModulatedLinear(scope("key_compiler"), from: tokens, to: inner, codes: codes, bias: false, heads: heads)
    value = ModulatedLinear(scope("value_compiler"), from: tokens, to: inner, codes: codes, bias: false, heads: heads)
    exit = ModulatedLinear(scope("exit_layer"), from: inner, to: state, codes: codes)
    gamma = scope("layer_scale").parameter("gamma", [state], .ones)
    self.heads = heads
    self.headDimension = headDimension
  }

  /// Receivers (B, U, state) with codes (U, code), tokens (B, V, C) -> (B, U, state).
  package func callAsFunction(
    _ receivers: Value, codes: Value, from tokens: Value, _ forward: Forward
  ) throws(ShapeError) -> Value {
    let (batch, count, features) = (receivers.shape[0], receivers.shape[1], tokens.shape.last)
    let x = try senderNorm(tokens, forward)
    let q = try query(receivers, norm: receiverNorm, codes: codes, forward)
      .swappingAxes(batch * count, heads, inner: headDimension, as: [heads, batch * count, headDimension])
    // (H, B U, C): what each receiver looks for in a token
    let sought = try q.matmul(forward(key.weight)).scaledColumns(by: key.modulation(codes, forward))
    let scores = try sought.swappingAxes(heads, batch, inner: count * features, as: [batch, heads * count, features])
      .matmul(x, transposing: .right)  // (B, H U, V)
    let weights = try scores.softmax(scale: 1 / Float(headDimension).squareRoot())
    let mixtures = try weights.matmul(x)  // (B, H U, C)
      .swappingAxes(batch, heads, inner: count * features, as: [heads, batch * count, features])
    let merged = try mixtures.scaledColumns(by: value.modulation(codes, forward))
      .matmul(forward(value.weight), transposing: .right)  // (H, B U, D)
      .swappingAxes(heads, batch * count, inner: headDimension, as: [batch, count, heads * headDimension])
    return try receivers + exit(merged, codes: codes, forward).scaledColumns(by: forward(gamma))
  }
}
