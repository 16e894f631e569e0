import Graph
import Kernels

/// y[i] = x[i] scale[i mod N] [+ residual[i]], N being the number of elements of `scale`: (x, scale [, residual]) -> y.
///
/// The rows of x are scaled by the rows of `scale` in turn, so scale [C] scales columns (LayerScale, Touvron et al. 2021),
/// scale [U, C] modulates the features of each latent of x [B, U, C], and equal shapes multiply.
package struct ScaleColumns: Op {
  package static let name = "scale_columns"
  /// Whether input 2 is added to the result. Only fusion asks for it, so there is no gradient rule for it.
  var addsResidual = false

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    let (x, scale) = (inputs[0].shape, inputs[1].shape)
    guard x.last == scale.last, x.count % scale.count == 0 else {
      throw mismatch(inputs, "rows of x are not those of scale in turn")
    }
    guard !addsResidual || inputs[2] == inputs[0] else { throw mismatch(inputs, "residual is not like x") }
    return [inputs[0]]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let columns = site.inputs[0].shape.last
    let rows = RowClusters(site.inputs[0].shape, site.traits)
    return Launch([
      Dispatch(
        ScaleColumnsKernel.self,
        constants: .init(
          CLUSTER: rows.cluster, C: rows.columns, TURN: UInt32(site.inputs[1].shape.rows), RESIDUAL: addsResidual),
        push: .init(rows: rows.count),
        [
          .input(0).texels(rowsOf: columns), .input(1).texels(rowsOf: columns),
          addsResidual ? .input(2).texels(rowsOf: columns) : .unused, .output(0),
        ],
        groups: rows.groups, lanes: rows.lanes)
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    guard let dy = pullback.cotangents[0] else { return [nil, nil] }
    let (x, scale) = (pullback.inputs[0], pullback.inputs[1])
    return [
      pullback.needs[0] ? try dy.scaledColumns(by: scale) : nil,
      pullback.needs[1] ? try x.columnProducts(dy, shape: scale.shape) : nil,
    ]
  }

  package func absorbing(_ consumer: any Op, operand: Int, keepingOriginal: Bool) -> Absorption? {
    guard consumer is Add, !addsResidual, !keepingOriginal else { return nil }
    return Absorption(ScaleColumns(addsResidual: true), extraInputs: [1 - operand])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (x, scale) = (inputs[0], inputs[1])
    return [
      HostTensor(
        x.type, x.data.indices.map { x[$0] * scale[$0 % scale.data.count] + (addsResidual ? inputs[2][$0] : 0) })
    ]
  }

  private static let sizes: [(x: Shape, scale: Shape)] = [
    ([1, 1], [1]), ([3, 7], [7]), ([2, 5, 64], [5, 64]), ([3, 5, 9], [5, 9]), ([4, 17, 12], [1, 12]),
    ([7, 9], [7, 9]),
  ]

  package static let cases =
    sizes.map { x, scale in OpCase("\(x) by \(scale)", ScaleColumns(), [.init(x), .init(scale)]) }
    + sizes.prefix(4).map { x, scale in
      OpCase(
        "\(x) by \(scale) with residual", ScaleColumns(addsResidual: true), [.init(x), .init(scale), .init(x)],
        checksGradient: false)
    }
}

/// y[j] = the sum of a[i] b[i] over all i with i mod N = j, N being the number of elements of `shape`: what `ScaleColumns`
/// owes its scale.
package struct ColumnProducts: Op {
  package static let name = "column_products"
  let shape: Shape

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard inputs[0] == inputs[1], inputs[0].count % shape.count == 0 else {
      throw mismatch(inputs, "a and b are not alike, or no whole number of \(shape)")
    }
    return [TensorType(shape)]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let chunks = RowChunks(rows: site.inputs[0].count / shape.count, columns: shape.count, traits: site.traits)
    let whole = chunks.count == 1
    let partial = Dispatch(
      ColumnProductsKernel.self,
      constants: .init(
        CLUSTER: chunks.tiles.clusterConstant, C: UInt32(chunks.columns), local_size_x: chunks.tiles.groupSize),
      push: .init(rows: UInt32(chunks.rows), chunk: UInt32(chunks.extent), chunks: UInt32(chunks.count)),
      [
        .input(0).texels(rowsOf: chunks.columns), .input(1).texels(rowsOf: chunks.columns),
        whole ? .output(0) : .scratch(0),
      ], groups: chunks.groups, lanes: chunks.tiles.lanes)
    if whole { return Launch([partial]) }
    return Launch(scratch: [chunks.partial], [partial, chunks.ofPartial.sum(.scratch(0), to: .output(0))])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    var y = HostTensor(zeros: TensorType(shape))
    for i in inputs[0].data.indices { y[i % shape.count] += inputs[0][i] * inputs[1][i] }
    return [y]
  }

  package static let cases: [OpCase] = [
    ([1, 1], [1]), ([3, 7], [7]), ([2, 5, 64], [5, 64]), ([129, 10], [10]), ([700, 129], [129]), ([4100, 4], [4]),
    ([1300, 200], [200]),
  ].map { (x: Shape, shape: Shape) in
    OpCase("\(x) to \(shape)", ColumnProducts(shape: shape), [.init(x), .init(x)], checksGradient: false)
  }
}

extension Value {
  /// The rows times those of `scale` in turn: columns by [C], latents' features [B, U, C] by [U, C], equal shapes.
  package func scaledColumns(by scale: Value) throws(ShapeError) -> Value {
    try graph.apply(ScaleColumns(), to: [self, scale])[0]
  }

  fileprivate func columnProducts(_ other: Value, shape: Shape) throws(ShapeError) -> Value {
    try graph.apply(ColumnProducts(shape: shape), to: [self, other])[0]
  }
}
