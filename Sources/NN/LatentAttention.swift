import Graph
import Ops

/// Receivers attend to senders, both modulated by their codes: [receivers +] gamma * ModFC(attention).
package struct LatentAttention: Sendable {
  private let receiverNorm: LayerNorm
  /// Nil where senders are normalised as receivers are.
  private let senderNorm: LayerNorm?
  private let query: ModulatedLinear
  private let key: ModulatedLinear
  private let value: ModulatedLinear
  private let exit: ModulatedLinear
  private let gamma: Parameter
  private let heads: Int
  private let headDimension: Int
  private let isResidual: Bool
  private let dropPath: Double
  private let name: String

  package init(
    _ scope: Scope, name: String, state: Int, codes: Int, heads: Int, headDimension: Int, sharesNorm: Bool,
    isResidual: Bool, gamma start: Double, dropPath: Double = 0
  ) {
    let inner = heads * headDimension
    receiverNorm = LayerNorm(scope("receiver_layernorm"), state, eps: 1e-5)
    senderNorm = sharesNorm ? nil : LayerNorm(scope("sender_layernorm"), state, eps: 1e-5)
    query = ModulatedLinear(scope("query_compiler"), from: state, to: inner, codes: codes, bias: false)
    key = ModulatedLinear(scope("key_compiler"), from: state, to: inner, codes: codes, bias: false)
    value = ModulatedLinear(scope("value_compiler"), from: state, to: inner, codes: codes, bias: false)
    exit = ModulatedLinear(scope("exit_layer"), from: inner, to: state, codes: codes)
    gamma = scope("layer_scale").parameter("gamma", [state], .constant(start))
    self.heads = heads
    self.headDimension = headDimension
    self.isResidual = isResidual
    self.dropPath = dropPath
    self.name = name
  }

  /// - Parameters:
  ///   - receivers: (B, U, state), with codes (U, code) or (1, code).
  ///   - senders: (B, V, state), with codes (V, code) or (1, code).
  ///   - affinities: logarithms (U, V) or (B, U, V) that are added to the scores of every head. Their normalisation over the
  ///     senders, which the reference does, drops out in softmax.
  package func callAsFunction(
    _ receivers: Value, codes: Value, from senders: Value, senderCodes: Value, affinities: Value? = nil,
    _ forward: Forward
  ) throws(ShapeError) -> Value {
    let merged: Value  // (B, U, H D)
    if senders == receivers, senderNorm == nil, senderCodes == codes, codes.shape[0] == 1, affinities == nil {
      // Self-attention under one code: the three weights are one.
      let weight = try query.modulatedWeight(codes, forward)
        .concatenated(with: key.modulatedWeight(codes, forward), axis: 0)
        .concatenated(with: value.modulatedWeight(codes, forward), axis: 0)
      merged = try receiverNorm(receivers, forward).matmul(weight, transposing: .right).attention(heads: heads)
    } else {
      let norm = senderNorm ?? receiverNorm
      let q = try query(receivers, norm: receiverNorm, codes: codes, forward).splitHeads(heads)
      let k = try key(senders, norm: norm, codes: senderCodes, forward).splitHeads(heads)
      let v = try value(senders, norm: norm, codes: senderCodes, forward).splitHeads(heads)
      let scores = try q.matmul(k, transposing: .right)  // (B, H, U, V)
      let weights = try scores.softmax(scale: 1 / Float(headDimension).squareRoot(), bias: affinities)
      merged = try weights.matmul(v).mergedHeads()
    }
    let branch = try exit(merged, codes: codes, forward).scaledColumns(by: forward(gamma))
    guard isResidual else { return branch }
    return try receivers + forward.dropPath(branch, rate: dropPath, name: "\(name) attention")
  }
}
