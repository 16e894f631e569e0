import Graph
import Kernels

/// Rows of length 1: x [..., C] -> x / |x|, and 1 / |x| of each row, which the gradient uses again.
package struct UnitRows: Op {
  package static let name = "unit_rows"

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    [inputs[0], TensorType([inputs[0].shape.rows])]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let rows = RowClusters(site.inputs[0].shape, site.traits)
    return Launch([
      Dispatch(
        UnitRowsKernel.self, constants: .init(CLUSTER: rows.cluster, C: rows.columns), push: .init(rows: rows.count),
        [.input(0).texels(rowsOf: Int(rows.columns)), .output(0), .output(1)], groups: rows.groups, lanes: rows.lanes)
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    guard pullback.cotangents[1] == nil else {
      throw mismatch(pullback.inputs.map(\.type), "no gradient through the lengths")
    }
    guard let dy = pullback.cotangents[0] else { return [nil] }
    return try dy.graph.apply(UnitRowsBackward(), to: pullback.outputs + [dy])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (x, columns) = (inputs[0], inputs[0].shape.last)
    var (y, inverse) = (x, HostTensor(zeros: TensorType([x.shape.rows])))
    for r in 0..<x.shape.rows {
      let row = r * columns..<(r + 1) * columns
      inverse[r] = 1 / row.reduce(0) { $0 + x[$1] * x[$1] }.squareRoot()
      for i in row { y[i] = x[i] * inverse[r] }
    }
    return [y, inverse]
  }

  package static let cases = [[1, 2], [3, 7], [24, 16], [9, 64], [5, 129]].map { (extents: [Int]) in
    OpCase("\(Shape(extents))", UnitRows(), [.init(Shape(extents))], differentiatedOutputs: 1)
  }
}

/// The gradient of `UnitRows`: (y, 1 / |x|, dy) -> dx.
package struct UnitRowsBackward: Op {
  package static let name = "unit_rows_backward"

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard inputs[0] == inputs[2], inputs[1].shape == [inputs[0].shape.rows] else {
      throw mismatch(inputs, "dy is not like y, or there is no length for each row")
    }
    return [inputs[0]]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let rows = RowClusters(site.inputs[0].shape, site.traits)
    let columns = Int(rows.columns)
    return Launch([
      Dispatch(
        UnitRowsBackwardKernel.self, constants: .init(CLUSTER: rows.cluster, C: rows.columns),
        push: .init(rows: rows.count),
        [
          .input(0).texels(rowsOf: columns), .input(1).texels(.r32f), .input(2).texels(rowsOf: columns), .output(0),
        ], groups: rows.groups, lanes: rows.lanes)
    ])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (y, inverse, dy, columns) = (inputs[0], inputs[1], inputs[2], inputs[0].shape.last)
    var dx = y
    for r in 0..<y.shape.rows {
      let row = r * columns..<(r + 1) * columns
      let along = row.reduce(0) { $0 + y[$1] * dy[$1] }
      for i in row { dx[i] = (dy[i] - y[i] * along) * inverse[r] }
    }
    return [dx]
  }

  package static let cases = [[1, 2], [3, 7], [9, 64], [5, 129]].map { (extents: [Int]) in
    let shape = Shape(extents)
    return OpCase(
      "\(shape)", UnitRowsBackward(), [.init(shape), .init([shape.rows], .f32, .uniform(0.5, 2)), .init(shape)],
      checksGradient: false)
  }
}

extension Value {
  /// x / |x| over the last axis.
  package func unitRows() throws(ShapeError) -> Value { try graph.apply(UnitRows(), to: [self])[0] }
}
