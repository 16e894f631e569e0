import Graph
import Kernels

/// Gradient of `TopKGate`: scores, experts, dScores, all [tokens, K] -> dLogits [..., E], the softmax Jacobian at the
/// picked experts and 0 elsewhere.
package struct TopKGateBackward: Op {
  package static let name = "top_k_gate_backward"
  let logits: Shape

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    let scores = inputs[0]
    guard inputs[2] == scores, inputs[1] == TensorType(scores.shape, .u32), scores.shape.rows == logits.rows else {
      throw mismatch(inputs, "scores, u32 experts and dScores are [\(logits.rows), K]")
    }
    return [TensorType(logits)]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let vectors = (logits.count + 3) / 4
    return Launch([
      Dispatch(
        TopKGateBackwardKernel.self,
        constants: .init(
          E: UInt32(logits.last), K: UInt32(site.inputs[0].shape.last), ALIGNED: logits.last % 4 == 0),
        push: .init(tokens: UInt32(logits.rows), count4: UInt32(vectors)),
        [.input(0).texels(.r32f), .input(1).texels(.r32ui), .input(2).texels(.r32f), .output(0)],
        groups: .linear(vectors, perGroup: 64))
    ])
  }

  package func fills(_ inputs: [TensorType]) -> [OpCase.Fill] {
    let (k, experts) = (inputs[1].shape.last, logits.last)
    let picks = (0..<inputs[1].count).map { Double(($0 / k * 31 + $0 % k) % experts) }
    return [.normal(1), .values(picks), .normal(1)]
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (scores, experts, dScores) = (inputs[0], inputs[1], inputs[2])
    let k = scores.shape.last
    var dLogits = HostTensor(zeros: TensorType(logits))
    for t in 0..<logits.rows {
      let entries = t * k..<(t + 1) * k
      let mean = entries.reduce(0) { $0 + scores[$1] * dScores[$1] }
      for i in entries { dLogits[t * logits.last + Int(experts[i])] = scores[i] * (dScores[i] - mean) }
    }
    return [dLogits]
  }

  package static let cases = [(1, 1, 1), (7, 3, 2), (129, 4, 2), (33, 4, 4), (130, 64, 2), (3, 255, 8)].map { t, e, k in
    let experts = (0..<t * k).map { Double(($0 / k * 31 + $0 % k) % e) }
    return OpCase(
      "\(t)x\(e), \(k)", TopKGateBackward(logits: [t, e]),
      [.init([t, k]), .init([t, k], .u32, .values(experts)), .init([t, k])], checksGradient: false)
  }
}
