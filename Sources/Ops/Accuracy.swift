import Graph
import Kernels

/// Counts [3] of logits [B, N] and labels u32 [B]: top-1 hits, top-5 hits, valid rows (label below N).
///
/// The label's rank is the number of larger logits and of equal ones before it. A label whose logit is NaN is no hit.
package struct Accuracy: Op {
  package static let name = "accuracy"

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard inputs[0].shape.rank == 2, inputs[0].dtype == .f32, inputs[1] == TensorType([inputs[0].shape[0]], .u32) else {
      throw mismatch(inputs, "takes logits [B, N] and labels u32 [B]")
    }
    return [TensorType([3])]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let logits = site.inputs[0].shape
    return Launch([
      Dispatch(
        AccuracyKernel.self, push: .init(rows: UInt32(logits[0]), classes: UInt32(logits[1])),
        [.input(0).texels(.r32f), .input(1).texels(.r32ui), .output(0)], groups: GroupCount(1))
    ])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let classes = inputs[0].shape[1]
    var counts = HostTensor(zeros: TensorType([3]))
    for (b, label) in inputs[1].data.map({ Int($0) }).enumerated() where label < classes {
      let row = Array(inputs[0].data[b * classes..<(b + 1) * classes])
      let rank = row.enumerated().count { $1 > row[label] || $1 == row[label] && $0 < label }
      counts[0] += rank < 1 && !row[label].isNaN ? 1 : 0
      counts[1] += rank < 5 && !row[label].isNaN ? 1 : 0
      counts[2] += 1
    }
    return [counts]
  }

  package static let cases = [
    OpCase("128x10", Accuracy(), [.init([128, 10]), .init([128], .u32, .integers(below: 10))], checksGradient: false),
    OpCase("3x1000", Accuracy(), [.init([3, 1000]), .init([3], .u32, .integers(below: 1000))], checksGradient: false),
    OpCase(
      "65x3, padding", Accuracy(), [.init([65, 3]), .init([65], .u32, .integers(below: 5))], checksGradient: false),
    OpCase(
      "ties and NaN", Accuracy(),
      [
        .init([4, 2], .f32, .values([1, 1, 1, 1, .nan, 0, .nan, 0])),
        .init([4], .u32, .values([0, 1, 0, 1])),
      ], checksGradient: false),
  ]
}

extension Value {
  /// Top-1 hits, top-5 hits and valid rows of these logits [B, N], as one tensor [3].
  package func accuracy(labels: Value) throws(ShapeError) -> Value {
    try graph.apply(Accuracy(), to: [self, labels])[0]
  }
}
