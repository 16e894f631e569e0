import Graph
import Kernels

/// y[b, ...] = scale[b] x[b, ...] [+ residual[b, ...]]: (x [B, ...], scale [B] [, residual]) -> y. No gradient with
/// respect to scale.
package struct ScaleSamples: TokenWise {
  package static let name = "scale_samples"
  /// Whether input 2 is added to the result. Only fusion asks for it, so there is no gradient rule for it.
  var addsResidual = false

  package func tokenInputs(_ inputs: [TensorType]) -> [Int]? { [0] }

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard inputs[0].shape.rank >= 1, inputs[1].shape == [inputs[0].shape[0]] else {
      throw mismatch(inputs, "scale is not [B] of x [B, ...]")
    }
    guard !addsResidual || inputs[2] == inputs[0] else { throw mismatch(inputs, "residual is not like x") }
    return [inputs[0]]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let x = site.inputs[0].shape
    let columns = x.rank == 1 ? 1 : x.last
    let rows = RowClusters([x.count / columns, columns], site.traits)
    return Launch([
      Dispatch(
        ScaleSamplesKernel.self,
        constants: .init(
          CLUSTER: rows.cluster, C: rows.columns, EXTENT: rows.count / UInt32(x[0]), RESIDUAL: addsResidual),
        push: .init(rows: rows.count),
        [
          .input(0).texels(rowsOf: columns), .input(1).texels(.r32f),
          addsResidual ? .input(2).texels(rowsOf: columns) : .unused, .output(0),
        ],
        groups: rows.groups, lanes: rows.lanes)
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    [try pullback.cotangents[0]?.scaledPerSample(by: pullback.inputs[1]), nil]
  }

  package func absorbing(_ consumer: any Op, operand: Int, keepingOriginal: Bool) -> Absorption? {
    guard consumer is Add, !addsResidual, !keepingOriginal else { return nil }
    return Absorption(ScaleSamples(addsResidual: true), extraInputs: [1 - operand])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (x, scale) = (inputs[0], inputs[1])
    let inner = x.data.count / scale.data.count
    return [HostTensor(x.type, x.data.indices.map { x[$0] * scale[$0 / inner] + (addsResidual ? inputs[2][$0] : 0) })]
  }

  package static let cases =
    [[1], [7], [3, 43], [5, 17, 8], [2, 5, 13]].map { (extents: [Int]) in
      OpCase(
        "\(Shape(extents))", ScaleSamples(), [.init(Shape(extents)), .init([extents[0]], isDifferentiated: false)])
    }
    + [[1], [3, 43], [5, 17, 8]].map { (extents: [Int]) in
      let shape = Shape(extents)
      return OpCase(
        "\(shape) with residual", ScaleSamples(addsResidual: true),
        [.init(shape), .init([extents[0]]), .init(shape)], checksGradient: false)
    }
}

extension Value {
  /// [B, ...] times [B].
  package func scaledPerSample(by scale: Value) throws(ShapeError) -> Value {
    try graph.apply(ScaleSamples(), to: [self, scale])[0]
  }
}
