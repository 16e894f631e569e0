import Foundation
import Graph
import Kernels

/// The gradient of `ClassAttention` inside: (x, weights, u, s, logsumexp, dy [B, C]) -> dx [B, T, I], dq [B, C] and
/// du [B, H, I].
package struct ClassAttentionBackward: Op {
  package static let name = "class_attention_backward"
  let heads: Int

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    let forward = try ClassAttention(heads: heads).infer(Array(inputs.prefix(2)))
    guard Array(inputs.dropFirst(2)) == [forward[2], forward[3], forward[4], forward[0]] else {
      throw mismatch(inputs, "u, s, logsumexp or dy does not fit x with \(heads) heads")
    }
    return [inputs[0], forward[1], forward[2]]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let size = ClassAttentionSize(site.inputs[0].shape, site.inputs[1].shape, heads: heads)
    let (dz, dp, delta, query) = (Operand.scratch(0), Operand.scratch(1), Operand.scratch(2), Operand.scratch(3))
    let gradient = (dp: dp, delta: delta)
    return Launch(
      scratch: [size.pooled, size.scores, size.statistics, TensorType([size.batch, size.width])],
      [
        size.product(.heads(.input(5)), weights: .input(1), rows: .v, to: dz, site.traits),
        size.scores(.input(0), dz, given: (.input(3), .input(4)), to: dp, delta, site.traits),
        size.pool(.input(0), scores: .input(3), .input(4), gradient: gradient, to: .output(2), site.traits),
        size.product(.pooled(.output(2)), weights: .input(1), rows: .k, to: .output(1), site.traits),
        size.product(.rows(.output(1)), weights: .input(1), rows: .q, to: query, site.traits),
        size.tokens(
          dz, .input(2), query, scores: .input(3), .input(4), gradient: gradient, to: .output(0), site.traits),
      ])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (x, weights, u, s, logsumexp, dy) = (inputs[0], inputs[1], inputs[2], inputs[3], inputs[4], inputs[5])
    let size = ClassAttentionSize(x.shape, weights.shape, heads: heads)
    let (tokens, d, width, channels) = (size.tokens, size.headDimension, size.width, size.channels)
    var (dx, dq, du) = (
      HostTensor(zeros: x.type), HostTensor(zeros: size.query), HostTensor(zeros: size.pooled)
    )
    for b in 0..<size.batch {
      for h in 0..<heads {
        let pair = b * heads + h
        let dz = (0..<width).map { i in
          (0..<d).reduce(0) { $0 + dy[pair * d + $1] * weights[(2 * channels + h * d + $1) * width + i] }
        }
        let p = (0..<tokens).map { exp(s[pair * tokens + $0] - logsumexp[pair]) }
        let dp = (0..<tokens).map { j in
          (0..<width).reduce(0) { $0 + dz[$1] * x[(b * tokens + j) * width + $1] }
        }
        let delta = zip(p, dp).reduce(0) { $0 + $1.0 * $1.1 }
        for j in 0..<tokens {
          let ds = p[j] * (dp[j] - delta)
          for i in 0..<width {
            let at = (b * tokens + j) * width + i
            dx[at] += p[j] * dz[i] + ds * u[pair * width + i]
            du[pair * width + i] += ds * x[at]
          }
        }
        for e in 0..<d {
          let (query, key) = ((h * d + e) * width, (channels + h * d + e) * width)
          dq[pair * d + e] = size.scale * (0..<width).reduce(0) { $0 + weights[key + $1] * du[pair * width + $1] }
          for i in 0..<width { dx[b * tokens * width + i] += dq[pair * d + e] * weights[query + i] }
        }
      }
    }
    return [dx, dq, du]
  }

  package func cost(_ inputs: [TensorType], _ outputs: [TensorType]) -> Cost {
    let size = ClassAttentionSize(inputs[0].shape, inputs[1].shape, heads: heads)
    return Cost(
      flops: 3 * size.productFlops + 4 * size.passFlops, bytes: (inputs + outputs).reduce(0) { $0 + $1.bytes })
  }

  package static let cases = ClassAttentionSize.cases.map { size in
    // Any logsumexp above the scores keeps the probabilities below 1; it need not belong to s.
    OpCase(
      size.description, ClassAttentionBackward(heads: size.heads),
      [
        .init(size.x), .init(size.weights, .f32, .normal(0.5)), .init(size.pooled.shape), .init(size.scores.shape),
        .init(size.statistics.shape, .f32, .uniform(2, 4)), .init(size.query.shape),
      ], tolerance: 1e-4, checksGradient: false)
  }
}

/// The gradients of the weights of `ClassAttention`: (x, q, z, dy, dq, du) -> dweights [3 C, I], dbias [3 C].
package struct ClassAttentionWeightGradient: Op {
  package static let name = "class_attention_weight_gradient"
  let heads: Int

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard inputs[0].shape.rank == 3, inputs[1].shape.rank == 2 else {
      throw mismatch(inputs, "wants x [B, T, I], q [B, C]")
    }
    let rows = 3 * inputs[1].shape[1]
    let size = ClassAttentionSize(inputs[0].shape, [rows, inputs[0].shape[2]], heads: heads)
    guard Array(inputs.dropFirst()) == [size.query, size.pooled, size.query, size.query, size.pooled] else {
      throw mismatch(inputs, "z, dy, dq or du does not fit x and q with \(heads) heads")
    }
    return [TensorType(size.weights), TensorType([rows])]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let size = ClassAttentionSize(site.inputs[0].shape, site.outputs[0].shape, heads: heads)
    return Launch([
      size.weightGradient(.q, .input(4), .token(.input(0)), to: .output(0), .output(1)),
      size.weightGradient(.k, .input(1), .pooled(.input(5)), to: .output(0), .output(1)),
      size.weightGradient(.v, .input(3), .pooled(.input(2)), to: .output(0), .output(1)),
    ])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (x, q, z, dy, dq, du) = (inputs[0], inputs[1], inputs[2], inputs[3], inputs[4], inputs[5])
    let rows = 3 * q.shape[1]
    let size = ClassAttentionSize(x.shape, [rows, x.shape[2]], heads: heads)
    let (width, channels) = (size.width, size.channels)
    var (dweights, dbias) = (HostTensor(zeros: TensorType(size.weights)), HostTensor(zeros: TensorType([rows])))
    for b in 0..<size.batch {
      for c in 0..<channels {
        let pair = b * heads + c / size.headDimension
        for i in 0..<width {
          dweights[c * width + i] += dq[b * channels + c] * x[b * size.tokens * width + i]
          dweights[(channels + c) * width + i] += size.scale * q[b * channels + c] * du[pair * width + i]
          dweights[(2 * channels + c) * width + i] += dy[b * channels + c] * z[pair * width + i]
        }
        dbias[c] += dq[b * channels + c]
        dbias[2 * channels + c] += dy[b * channels + c]
      }
    }
    return [dweights, dbias]
  }

  package func cost(_ inputs: [TensorType], _ outputs: [TensorType]) -> Cost {
    Cost(
      flops: 2 * inputs[0].shape[0] * outputs[0].count, bytes: (inputs + outputs).reduce(0) { $0 + $1.bytes })
  }

  package static let cases = ClassAttentionSize.cases.map { size in
    OpCase(
      size.description, ClassAttentionWeightGradient(heads: size.heads),
      [size.x, size.query.shape, size.pooled.shape, size.query.shape, size.query.shape, size.pooled.shape].map {
        .init($0)
      }, checksGradient: false)
  }
}
