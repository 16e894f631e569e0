import Foundation
import Graph
import Kernels

/// Multi-head self-attention (Vaswani et al. 2017), y = softmax(q k^T D^-1/2) v for each head, without ever storing the
/// [T, T] scores: qkv [B, T, 3 C], as Linear(C, 3 C) gives it (the last axis is [q | k | v], each [H, D] with C = H D)
/// -> y [B, T, C] with the heads merged, and the logarithm of softmax's denominator [B, H, T], which the gradient uses
/// again.
package struct Attention: Op {
  package static let name = "attention"
  let heads: Int

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    let shape = inputs[0].shape
    guard shape.rank == 3, shape[2] % 3 == 0 else { throw mismatch(inputs, "qkv is not [B, T, 3 C]") }
    guard heads > 0, shape[2] / 3 % heads == 0 else {
      throw mismatch(inputs, "\(shape[2] / 3) channels do not divide into \(heads) heads")
    }
    return [TensorType([shape[0], shape[1], shape[2] / 3]), TensorType([shape[0], heads, shape[1]])]
  }

  package func launch(_ site: LaunchSite) -> Launch { variants(site)[0].launch }

  package func variants(_ site: LaunchSite) -> [Variant] {
    let qkv = site.inputs[0].shape
    let tiled = AttentionTiling.candidates(.forward, qkv: qkv, heads: heads, site.traits).map { tiling in
      Variant(
        tiling.family.rawValue,
        Launch([
          Dispatch(
            AttentionKernel.self,
            constants: .init(
              CLUSTER: tiling.cluster, WHOLE_SUBGROUP: tiling.isWholeSubgroup, D: tiling.headDimension,
              ROWS: tiling.rows, STEP: tiling.step, PARTS: tiling.parts),
            push: .init(
              T: tiling.tokens, H: tiling.heads, pairs: tiling.pairs, tiles: tiling.tiles, scale: tiling.scale),
            [.input(0).texels(.rgba32f), .output(0), .output(1)], groups: tiling.groups, lanes: tiling.lanes)
        ]))
    }
    let long = AddressedAttention.joining(tiled, \.forward, qkv: qkv, heads: heads, site.traits)
    let exact = ShortAttention(qkv: qkv, heads: heads, site.traits)?.joining(long, \.forward) ?? long
    return MatrixAttention(qkv: qkv, heads: heads, site.traits)?.joining(exact, \.forward, site.traits) ?? exact
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    guard pullback.cotangents[1] == nil else {
      throw mismatch(pullback.inputs.map(\.type), "no gradient through logsumexp")
    }
    guard let dy = pullback.cotangents[0] else { return [nil] }
    return try dy.graph.apply(AttentionBackward(heads: heads), to: pullback.inputs + pullback.outputs + [dy])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let layout = AttentionLayout(qkv: inputs[0].shape, heads: heads)
    var y = HostTensor(zeros: TensorType(layout.merged))
    var logsumexp = HostTensor(zeros: TensorType(layout.statistics))
    layout.forEachQuery { b, h, i in
      let scores = layout.scores(inputs[0], b, h, i)
      let peak = scores.max() ?? 0
      let total = scores.reduce(0) { $0 + exp($1 - peak) }
      logsumexp[layout.statistic(b, h, i)] = peak + log(total)
      for (j, score) in scores.enumerated() {
        let p = exp(score - peak) / total
        for d in 0..<layout.headDimension {
          y[layout.merged(b, h, i, d)] += p * inputs[0][layout.element(.v, b, h, j, d)]
        }
      }
    }
    return [y, logsumexp]
  }

  /// Four operations for each head dimension of each pair of tokens.
  package func cost(_ inputs: [TensorType], _ outputs: [TensorType]) -> Cost {
    Cost(flops: 4 * outputs[0].count * inputs[0].shape[1], bytes: (inputs + outputs).reduce(0) { $0 + $1.bytes })
  }

  package static let cases =
    AttentionLayout.cases.map { layout in
      OpCase(layout.description, Attention(heads: layout.heads), [.init(layout.qkv)], differentiatedOutputs: 1)
    } + [
      // Scores in the hundreds: exp of one overflows.
      OpCase(
        "large scores", Attention(heads: 2), [.init([1, 17, 96], .f32, .normal(8))], tolerance: 1e-4,
        differentiatedOutputs: 1)
    ]
}

extension Value {
  /// Self-attention over the tokens of [B, T, 3 C] = [q | k | v]: [B, T, C].
  package func attention(heads: Int) throws(ShapeError) -> Value {
    try graph.apply(Attention(heads: heads), to: [self])[0]
  }
}
