import Foundation
import Graph
import Kernels

/// The gate of a mixture of experts: logits [..., E] -> scores [tokens, K], experts u32 [tokens, K].
///
/// `experts` are the K largest logits of a token in descending order (ties: the lower expert first); `scores` is the
/// softmax over these K logits alone (reference spec section 2: no noise, no capacity). tokens = product of the axes but
/// the last. NaN logits are picked last, so `experts` are always K different ones.
package struct TopKGate: Op {
  package static let name = "top_k_gate"
  let k: Int

  /// The pick list of a token lives in registers.
  package static let largestK = 8

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    let shape = inputs[0].shape
    guard inputs[0].dtype == .f32, shape.rank >= 2 else { throw mismatch(inputs, "logits are f32 [..., experts]") }
    guard 1...min(shape.last, Self.largestK) ~= k else {
      throw mismatch(inputs, "picks \(k) of \(shape.last) experts; 1 to \(min(shape.last, Self.largestK)) are possible")
    }
    return [TensorType([shape.rows, k]), TensorType([shape.rows, k], .u32)]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let shape = site.inputs[0].shape
    return Launch([
      Dispatch(
        TopKGateKernel.self, constants: .init(E: UInt32(shape.last), K: UInt32(k), ALIGNED: shape.last % 4 == 0),
        push: .init(tokens: UInt32(shape.rows)),
        [.input(0).texels(rowsOf: shape.last), .output(0), .output(1)], groups: .linear(shape.rows, perGroup: 64))
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    guard let dScores = pullback.cotangents[0] else { return [nil] }
    let backward = TopKGateBackward(logits: pullback.inputs[0].shape)
    return [try dScores.graph.apply(backward, to: [pullback.outputs[0], pullback.outputs[1], dScores])[0]]
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (tokens, experts) = (inputs[0].shape.rows, inputs[0].shape.last)
    var scores = HostTensor(zeros: TensorType([tokens, k]))
    var picks = HostTensor(zeros: TensorType([tokens, k], .u32))
    for t in 0..<tokens {
      let logits = Array(inputs[0].data[t * experts..<(t + 1) * experts])
      let picked = logits.indices.sorted { (-logits[$0], $0) < (-logits[$1], $1) }.prefix(k)
      let sum = picked.reduce(0) { $0 + exp(logits[$1] - logits[picked[0]]) }
      for (j, e) in picked.enumerated() {
        scores[t * k + j] = exp(logits[e] - logits[picked[0]]) / sum
        picks[t * k + j] = Double(e)
      }
    }
    return [scores, picks]
  }

  package static let cases =
    [(1, 1, 1), (7, 3, 2), (129, 4, 2), (33, 4, 4), (5, 8, 8), (130, 64, 2), (17, 65, 1), (3, 256, 8)].map { t, e, k in
      // All logits differ by more than a step of finite differences, so no step changes the picks.
      let logits = (0..<t * e).map { Double($0 * 7919 % (t * e)) / Double(t * e) * 4 - 2 }
      return OpCase("\(t)x\(e), \(k)", TopKGate(k: k), [.init([t, e], .f32, .values(logits))])
    } + [
      OpCase(
        "ties", TopKGate(k: 3), [.init([3, 5], .f32, .values([1, 2, 2, 2, 2, 0, 0, 0, 0, 0, 3, 1, 3, 1, 3]))],
        checksGradient: false)
    ]
}

extension Value {
  /// Scores and chosen experts, both [tokens, k], of gate logits [..., E].
  package func topKGate(k: Int) throws(ShapeError) -> (scores: Value, experts: Value) {
    let outputs = try graph.apply(TopKGate(k: k), to: [self])
    return (outputs[0], outputs[1])
  }
}
