import Foundation
import GPU
import Graph
import Kernels

/// y = softmax(x) along the last axis, for any number of rows: x [..., C] -> y [..., C].
package struct Softmax: Op {
  package static let name = "softmax"

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] { [inputs[0]] }

  package func launch(_ site: LaunchSite) -> Launch {
    let rows = RaggedRows(site.inputs[0].shape, site.traits)
    return Launch([
      Dispatch(
        SoftmaxKernel.self, constants: .init(CLUSTER: rows.cluster, C: rows.columns, HELD: rows.areHeld),
        push: .init(rows: rows.count), [.input(0).texels(.rgba32f), .output(0)], groups: rows.groups)
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    guard let dy = pullback.cotangents[0] else { return [nil] }
    return try dy.graph.apply(SoftmaxBackward(), to: [pullback.outputs[0], dy])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    var y = inputs[0]
    let columns = y.shape.last
    for r in 0..<y.shape.rows {
      let row = r * columns..<(r + 1) * columns
      let peak = y.data[row].max() ?? 0
      let total = y.data[row].reduce(0) { $0 + exp($1 - peak) }
      for i in row { y[i] = exp(y[i] - peak) / total }
    }
    return [y]
  }

  package static let cases =
    SoftmaxBackward.shapes.map { OpCase("\($0)", Softmax(), [.init($0)]) } + [
      // exp of one overflows.
      OpCase("large", Softmax(), [.init([5, 33], .f32, .normal(100))])
    ]
}

/// The gradient of `Softmax`: (y, dy) -> dx = y (dy - sum(y dy)), the sum along the last axis.
package struct SoftmaxBackward: Op {
  package static let name = "softmax_backward"

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard inputs[0] == inputs[1] else { throw mismatch(inputs, "shapes differ") }
    return [inputs[0]]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let rows = RaggedRows(site.inputs[0].shape, site.traits)
    return Launch([
      Dispatch(
        SoftmaxBackwardKernel.self, constants: .init(CLUSTER: rows.cluster, C: rows.columns, HELD: rows.areHeld),
        push: .init(rows: rows.count), [.input(0).texels(.rgba32f), .input(1).texels(.rgba32f), .output(0)],
        groups: rows.groups)
    ])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (y, dy) = (inputs[0], inputs[1])
    var dx = y
    let columns = y.shape.last
    for r in 0..<y.shape.rows {
      let row = r * columns..<(r + 1) * columns
      let mean = row.reduce(0) { $0 + y[$1] * dy[$1] }
      for i in row { dx[i] = y[i] * (dy[i] - mean) }
    }
    return [dx]
  }

  /// Rows that share vectors and rows that do not; fewer vectors than lanes; rows too long to hold.
  static let shapes: [Shape] = [
    [1, 1], [5, 2], [3, 7], [4, 8], [7, 197], [2, 3, 64], [9, 129], [3, 700], [2, 1023],
  ]

  package static let cases = shapes.map {
    OpCase("\($0)", SoftmaxBackward(), [.init($0, .f32, .uniform(0, 0.1)), .init($0)], checksGradient: false)
  }
}

extension Value {
  /// Along the last axis.
  package func softmax() throws(ShapeError) -> Value { try graph.apply(Softmax(), to: [self])[0] }
}

/// A cluster of lanes per row, in the vectors of the whole tensor (`include/ragged_row.glsl`).
private struct RaggedRows {
  let count: UInt32
  let columns: UInt32
  let cluster: UInt32
  /// Whether a lane holds its part of the row in registers: faster, but unrolled code has its limits.
  let areHeld: Bool
  let groups: GroupCount

  init(_ shape: Shape, _ traits: DeviceTraits) {
    let lanes = RowClusters(shape, traits, hasWideForm: false)
    (count, columns, cluster, groups) = (lanes.count, lanes.columns, lanes.cluster, lanes.groups)
    areHeld = shape.last <= 16 * 4 * Int(lanes.cluster)
  }
}
