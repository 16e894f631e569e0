import Graph
import Kernels

/// Gradient of `Combine`: rows [tokens K, C], scores [tokens, K], slots u32 [tokens K], dy [..., C]
/// -> dRows [tokens K, C], dRows[slots[i]] = scores[i] dy[i / K], and dScores [tokens, K], <dy[i / K], rows[slots[i]]>.
package struct CombineBackward: Op {
  package static let name = "combine_backward"

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    let (rows, scores, dy) = (inputs[0].shape, inputs[1].shape, inputs[3].shape)
    guard dy.rows == scores.rows, dy.last == rows.last, rows.rows == scores.count,
      inputs[2] == TensorType([scores.count], .u32)
    else {
      throw mismatch(inputs, "wants rows [tokens K, C], scores [tokens, K], slots [tokens K], dy [tokens, C]")
    }
    return [inputs[0], inputs[1]]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let (k, c) = (site.inputs[1].shape.last, site.inputs[0].shape.last)
    let tokens = RowClusters(site.inputs[3].shape, site.traits, inAnyOrder: true)
    return Launch([
      Dispatch(
        CombineBackwardKernel.self,
        constants: .init(CLUSTER: tokens.cluster, C: tokens.columns, K: UInt32(k)), push: .init(tokens: tokens.count),
        [
          .input(0).texels(rowsOf: c), .input(1).texels(.r32f), .input(2).texels(.r32ui), .input(3).texels(rowsOf: c),
          .output(0), .output(1),
        ], groups: tokens.groups, lanes: tokens.lanes)
    ])
  }

  package func cost(_ inputs: [TensorType], _ outputs: [TensorType]) -> Cost {
    Cost(flops: 3 * inputs[0].count, bytes: (inputs + outputs).reduce(0) { $0 + $1.bytes })
  }

  package func fills(_ inputs: [TensorType]) -> [OpCase.Fill] {
    [.normal(1), .normal(1), Route.fills(slots: inputs[2].count, experts: 8)[2], .normal(1)]
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (rows, scores, slots, dy) = (inputs[0], inputs[1], inputs[2], inputs[3])
    let (k, c) = (scores.shape.last, rows.shape.last)
    var dRows = HostTensor(zeros: rows.type)
    var dScores = HostTensor(zeros: scores.type)
    for entry in 0..<scores.data.count {
      let (row, token) = (Int(slots[entry]) * c, entry / k * c)
      for j in 0..<c {
        dRows[row + j] = scores[entry] * dy[token + j]
        dScores[entry] += dy[token + j] * rows[row + j]
      }
    }
    return [dRows, dScores]
  }

  package static let cases = [(1, 1, 1), (7, 3, 5), (51, 2, 64), (130, 2, 12), (9, 8, 33), (5, 2, 132)].map { t, k, c in
    OpCase(
      "\(t)x\(c), \(k)", CombineBackward(),
      [.init([t * k, c]), .init([t, k]), .slots(tokens: t, k: k), .init([t, c])], checksGradient: false)
  }
}
