import Graph
import Kernels

/// The sum over the batch: x [B, ...] -> [1, ...].
package struct BatchSum: Op {
  package static let name = "batch_sum"

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard inputs[0].shape.rank >= 1 else { throw mismatch(inputs, "x is not [B, ...]") }
    return [TensorType(Shape([1] + inputs[0].shape.extents.dropFirst()))]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    .columnSum(.input(0), rows: site.inputs[0].shape[0], columns: site.outputs[0].count, traits: site.traits)
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let x = inputs[0]
    let batch = x.shape[0]
    let inner = x.data.count / batch
    return [
      HostTensor(
        Shape([1] + x.shape.extents.dropFirst()),
        (0..<inner).map { i in (0..<batch).reduce(0) { $0 + x[$1 * inner + i] } })
    ]
  }

  package static let cases = [[1, 1], [3, 7], [9, 5, 13], [16, 17, 8]].map { (extents: [Int]) in
    OpCase("\(Shape(extents))", BatchSum(), [.init(Shape(extents))], checksGradient: false)
  }
}

extension Value {
  /// [B, ...] -> [1, ...].
  package func batchSum() throws(ShapeError) -> Value { try graph.apply(BatchSum(), to: [self])[0] }
}
