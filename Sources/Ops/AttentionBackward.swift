import Foundation
import Graph
import Kernels

/// The gradient of `Attention`: (qkv [B, T, 3 C], y [B, T, C], logsumexp [B, H, T], dy [B, T, C]) -> dqkv [B, T, 3 C].
///
/// Two dispatches, without atomics: one gathers dq for each query, one dk and dv for each key; both compute the
/// probabilities again from `logsumexp` (Dao et al., "FlashAttention", 2022, appendix B.4).
package struct AttentionBackward: Op {
  package static let name = "attention_backward"
  let heads: Int

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    let forward = try Attention(heads: heads).infer([inputs[0]])
    guard inputs[1] == forward[0], inputs[2] == forward[1], inputs[3] == forward[0] else {
      throw mismatch(inputs, "y, logsumexp or dy does not fit qkv with \(heads) heads")
    }
    return [inputs[0]]
  }

  package func launch(_ site: LaunchSite) -> Launch { variants(site)[0].launch }

  package func variants(_ site: LaunchSite) -> [Variant] {
    let shape = site.inputs[0].shape
    let queries = AttentionTiling.candidates(.queries, qkv: shape, heads: heads, site.traits)
    let tiled = AttentionTiling.candidates(.keys, qkv: shape, heads: heads, site.traits).map { keys in
      let queries = queries.first { $0.family == keys.family } ?? queries[0]
      return Variant(keys.family.rawValue, launch(queries, keys))
    }
    let long = AddressedAttention.joining(tiled, \.backward, qkv: shape, heads: heads, site.traits)
    let exact = ShortAttention(qkv: shape, heads: heads, site.traits)?.joining(long, \.backward) ?? long
    return MatrixAttention(qkv: shape, heads: heads, site.traits)?.joining(exact, \.backward, site.traits) ?? exact
  }

  private func launch(_ queries: AttentionTiling, _ keys: AttentionTiling) -> Launch {
    Launch(
      scratch: [TensorType([Int(keys.pairs), Int(keys.tokens), 2])],
      [
        Dispatch(
          AttentionBackwardQueriesKernel.self,
          constants: .init(
            CLUSTER: queries.cluster, WHOLE_SUBGROUP: queries.isWholeSubgroup, D: queries.headDimension,
            ROWS: queries.rows, STEP: queries.step, PARTS: queries.parts),
          push: .init(
            T: queries.tokens, H: queries.heads, pairs: queries.pairs, tiles: queries.tiles, scale: queries.scale),
          [
            .input(0).texels(.rgba32f), .input(1).texels(.rgba32f), .input(3).texels(.rgba32f),
            .input(2).texels(.r32f), .output(0), .scratch(0),
          ],
          groups: queries.groups, lanes: queries.lanes),
        Dispatch(
          AttentionBackwardKeysKernel.self,
          constants: .init(
            CLUSTER: keys.cluster, WHOLE_SUBGROUP: keys.isWholeSubgroup, D: keys.headDimension, ROWS: keys.rows,
            STEP: keys.step, PARTS: keys.parts),
          push: .init(T: keys.tokens, H: keys.heads, pairs: keys.pairs, tiles: keys.tiles, scale: keys.scale),
          [.input(0).texels(.rgba32f), .input(3).texels(.rgba32f), .scratch(0).texels(.r32f), .output(0)],
          groups: keys.groups, lanes: keys.lanes),
      ])
  }

  /// Any logsumexp above the scores keeps the probabilities below 1; it need not belong to qkv.
  package func fills(_ inputs: [TensorType]) -> [OpCase.Fill] {
    [.normal(0.5), .normal(1), .uniform(2, 4), .normal(1)]
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (qkv, y, logsumexp, dy) = (inputs[0], inputs[1], inputs[2], inputs[3])
    let layout = AttentionLayout(qkv: qkv.shape, heads: heads)
    var dqkv = HostTensor(zeros: qkv.type)
    layout.forEachQuery { b, h, i in
      let dimensions = 0..<layout.headDimension
      let delta = dimensions.reduce(0) { $0 + dy[layout.merged(b, h, i, $1)] * y[layout.merged(b, h, i, $1)] }
      for (j, score) in layout.scores(qkv, b, h, i).enumerated() {
        let p = exp(score - logsumexp[layout.statistic(b, h, i)])
        let dp = dimensions.reduce(0) {
          $0 + dy[layout.merged(b, h, i, $1)] * qkv[layout.element(.v, b, h, j, $1)]
        }
        let ds = p * (dp - delta) * layout.scale
        for d in dimensions {
          dqkv[layout.element(.q, b, h, i, d)] += ds * qkv[layout.element(.k, b, h, j, d)]
          dqkv[layout.element(.k, b, h, j, d)] += ds * qkv[layout.element(.q, b, h, i, d)]
          dqkv[layout.element(.v, b, h, j, d)] += p * dy[layout.merged(b, h, i, d)]
        }
      }
    }
    return [dqkv]
  }

  /// Ten operations for each head dimension of each pair of tokens: the scores again, dp, dq, dk and dv. What the
  /// two dispatches do twice is not counted.
  package func cost(_ inputs: [TensorType], _ outputs: [TensorType]) -> Cost {
    Cost(flops: 10 * inputs[1].count * inputs[0].shape[1], bytes: (inputs + outputs).reduce(0) { $0 + $1.bytes })
  }

  package static let cases = AttentionLayout.cases.map { layout in
    let op = AttentionBackward(heads: layout.heads)
    let shapes = [layout.qkv, layout.merged, layout.statistics, layout.merged]
    let fills = op.fills(shapes.map { TensorType($0) })
    return OpCase(
      layout.description, op, zip(shapes, fills).map { .init($0, .f32, $1) }, checksGradient: false)
  }
}
