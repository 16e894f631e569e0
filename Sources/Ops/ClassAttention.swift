import Foundation
import Graph
import Kernels

/// Self-attention where only the first token of each sample asks: x [B, T, I], the weights [3 C, I] of
/// Linear(I, 3 C) = [q | k | v] and its bias [3 C] -> y [B, C], what `Attention` gives at token 0.
///
/// One query per sample needs no key and no value of any token. With W_k, W_v the rows of head h,
///     q_h . (W_k x_j + b_k) = (W_k^T q_h) . x_j + constant in j,   sum_j p_j (W_v x_j + b_v) = W_v (sum_j p_j x_j) + b_v,
/// so the projections of all T tokens become projections of one row per head, and b_k has no effect at all.
///
/// The other outputs serve the gradient: q [B, C], u = scale W_k^T q [B, H, I], scores s [B, H, T], logsumexp of s
/// [B, H], and z = sum_j p_j x_j [B, H, I].
package struct ClassAttention: Op {
  package static let name = "class_attention"
  let heads: Int

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    let (x, weights) = (inputs[0].shape, inputs[1].shape)
    guard x.rank == 3, weights.rank == 2, weights[1] == x[2], weights[0] % 3 == 0,
      inputs.count == 2 || inputs[2].shape == [weights[0]]
    else { throw mismatch(inputs, "wants x [B, T, I], weights [3 C, I], bias [3 C]") }
    guard heads > 0, weights[0] / 3 % heads == 0 else {
      throw mismatch(inputs, "\(weights[0] / 3) channels do not divide into \(heads) heads")
    }
    let size = ClassAttentionSize(x, weights, heads: heads)
    return [size.query, size.query, size.pooled, size.scores, size.statistics, size.pooled]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let size = ClassAttentionSize(site.inputs[0].shape, site.inputs[1].shape, heads: heads)
    let bias: Operand? = site.inputs.count == 3 ? .input(2) : nil
    return Launch([
      size.product(.token(.input(0)), weights: .input(1), rows: .q, bias: bias, to: .output(1), site.traits),
      size.product(.heads(.output(1)), weights: .input(1), rows: .k, to: .output(2), site.traits),
      size.scores(.input(0), .output(2), to: .output(3), .output(4), site.traits),
      size.pool(.input(0), scores: .output(3), .output(4), to: .output(5), site.traits),
      size.product(.pooled(.output(5)), weights: .input(1), rows: .v, bias: bias, to: .output(0), site.traits),
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    guard pullback.cotangents.dropFirst().allSatisfy({ $0 == nil }) else {
      throw mismatch(pullback.inputs.map(\.type), "only y has a gradient")
    }
    guard let dy = pullback.cotangents[0] else { return pullback.inputs.map { _ in nil } }
    let (x, saved) = (pullback.inputs[0], pullback.outputs)
    let inner = try dy.graph.apply(
      ClassAttentionBackward(heads: heads), to: [x, pullback.inputs[1], saved[2], saved[3], saved[4], dy])
    guard pullback.needs.dropFirst().contains(true) else {
      return [inner[0]] + pullback.inputs.dropFirst().map { _ in nil }
    }
    let outer = try dy.graph.apply(
      ClassAttentionWeightGradient(heads: heads), to: [x, saved[1], saved[5], dy, inner[1], inner[2]])
    return Array(([inner[0]] + outer).prefix(pullback.inputs.count))
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (x, weights) = (inputs[0], inputs[1])
    let size = ClassAttentionSize(x.shape, weights.shape, heads: heads)
    let (batch, tokens, d, width) = (size.batch, size.tokens, size.headDimension, size.width)
    func projected(_ part: ClassAttentionSize.Part, _ b: Int, _ j: Int, _ c: Int) -> Double {
      let row = part.rawValue * size.channels + c
      let bias = inputs.count == 3 ? inputs[2][row] : 0
      return (0..<width).reduce(bias) { $0 + weights[row * width + $1] * x[(b * tokens + j) * width + $1] }
    }
    var outputs = [size.query, size.query, size.pooled, size.scores, size.statistics, size.pooled].map {
      HostTensor(zeros: $0)
    }
    for b in 0..<batch {
      for h in 0..<heads {
        let pair = b * heads + h
        let q = (0..<d).map { projected(.q, b, 0, h * d + $0) }
        for e in 0..<d { outputs[1][pair * d + e] = q[e] }
        for i in 0..<width {
          outputs[2][pair * width + i] =
            size.scale * (0..<d).reduce(0) { $0 + q[$1] * weights[(size.channels + h * d + $1) * width + i] }
        }
        // Without the bias of the keys, which moves all scores of a query alike.
        let s = (0..<tokens).map { j in
          (0..<width).reduce(0) { $0 + outputs[2][pair * width + $1] * x[(b * tokens + j) * width + $1] }
        }
        let peak = s.max() ?? 0
        let total = s.reduce(0) { $0 + exp($1 - peak) }
        outputs[4][pair] = peak + log(total)
        for j in 0..<tokens {
          outputs[3][pair * tokens + j] = s[j]
          let p = exp(s[j] - peak) / total
          for e in 0..<d { outputs[0][pair * d + e] += p * projected(.v, b, j, h * d + e) }
          for i in 0..<width { outputs[5][pair * width + i] += p * x[(b * tokens + j) * width + i] }
        }
      }
    }
    return outputs
  }

  package func cost(_ inputs: [TensorType], _ outputs: [TensorType]) -> Cost {
    let size = ClassAttentionSize(inputs[0].shape, inputs[1].shape, heads: heads)
    return Cost(
      flops: 3 * size.productFlops + 2 * size.passFlops, bytes: (inputs + outputs).reduce(0) { $0 + $1.bytes })
  }

  /// Whether it is less work than projecting all tokens of x [B, T, I] by weights [3 C, I].
  static func pays(_ x: Shape, _ weights: Shape, heads: Int) -> Bool {
    let size = ClassAttentionSize(x, weights, heads: heads)
    return 3 * size.productFlops + 2 * size.passFlops < 2 * x.count * weights[0]
  }

  package static let cases = ClassAttentionSize.cases.enumerated().map { index, size in
    let (x, weights) = (size.x, size.weights)
    return OpCase(
      size.description, ClassAttention(heads: size.heads),
      [.init(x), .init(weights, .f32, .normal(0.5))] + (index % 3 == 2 ? [] : [.init([weights[0]])]), tolerance: 1e-4,
      differentiatedOutputs: 1)
  }
}
