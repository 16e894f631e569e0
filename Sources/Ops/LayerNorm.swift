import GPU
import Graph
import Kernels

/// Normalises rows to zero mean and unit variance, then scales and shifts the columns (Ba et al. 2016), with the population
/// variance: (x [..., C], weight [C], bias [C]) -> y [..., C], and mean and 1 / sqrt(variance + eps) of each row, which the
/// gradient uses again. Weight and bias [U, C] serve the rows of x in turn: those of latents x [B, U, C] are then their own.
package struct LayerNorm: TokenWise {
  package static let name = "layer_norm"
  let eps: Double

  package func tokenInputs(_ inputs: [TensorType]) -> [Int]? { inputs[1].shape.rows == 1 ? [0] : nil }

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    let (x, weight) = (inputs[0].shape, inputs[1].shape)
    guard inputs[2] == inputs[1], weight.last == x.last, x.rows % weight.rows == 0 else {
      throw mismatch(inputs, "weight and bias are not [C] or [U, C] of x [..., U, C]")
    }
    return [inputs[0], TensorType([inputs[0].shape.rows]), TensorType([inputs[0].shape.rows])]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let rows = RowClusters(site.inputs[0].shape, site.traits)
    return Launch([
      Dispatch(
        LayerNormKernel.self,
        constants: .init(CLUSTER: rows.cluster, C: rows.columns, TURN: UInt32(site.inputs[1].shape.rows)),
        push: .init(rows: rows.count, eps: Float(eps)),
        (0..<3).map { .input($0).texels(rowsOf: Int(rows.columns)) } + [.output(0), .output(1), .output(2)],
        groups: rows.groups, lanes: rows.lanes)
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    let (x, weight) = (pullback.inputs[0], pullback.inputs[1])
    guard pullback.cotangents[1] == nil, pullback.cotangents[2] == nil else {
      throw mismatch(pullback.inputs.map(\.type), "no gradient through the statistics")
    }
    guard let dy = pullback.cotangents[0] else { return [nil, nil, nil] }
    let (mean, rstd) = (pullback.outputs[1], pullback.outputs[2])
    let dx = pullback.needs[0] ? try x.graph.apply(LayerNormBackward(), to: [x, weight, mean, rstd, dy])[0] : nil
    guard pullback.needs[1] || pullback.needs[2] else { return [dx, nil, nil] }
    let parameters = try x.graph.apply(LayerNormParameterGradients(shape: weight.shape), to: [x, mean, rstd, dy])
    return [dx, parameters[0], parameters[1]]
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (x, weight, bias) = (inputs[0], inputs[1], inputs[2])
    let columns = x.shape.last
    var y = x
    var mean = HostTensor(zeros: TensorType([x.shape.rows]))
    var rstd = mean
    for r in 0..<x.shape.rows {
      let row = x.data[r * columns..<(r + 1) * columns]
      mean[r] = row.reduce(0, +) / Double(columns)
      let variance = row.reduce(0) { $0 + ($1 - mean[r]) * ($1 - mean[r]) } / Double(columns)
      rstd[r] = 1 / (variance + eps).squareRoot()
      let first = r * columns % weight.data.count
      for c in 0..<columns {
        y[r * columns + c] = (x[r * columns + c] - mean[r]) * rstd[r] * weight[first + c] + bias[first + c]
      }
    }
    return [y, mean, rstd]
  }

  package static let cases =
    [[1, 2], [3, 7], [2, 17, 64], [9, 12], [5, 129], [7, 136], [3, 768]].map { (extents: [Int]) in
      opCase(Shape(extents), [extents.last ?? 1])
    } + inTurn.map { opCase($0, $1) }

  private static func opCase(_ x: Shape, _ weight: Shape) -> OpCase {
    OpCase(
      weight.rank == 1 ? "\(x)" : "\(x) by \(weight)", LayerNorm(eps: 1e-3), [.init(x), .init(weight), .init(weight)],
      differentiatedOutputs: 1)
  }

  /// Weight and bias with several rows.
  fileprivate static let inTurn: [(x: Shape, weight: Shape)] = [
    ([2, 5, 64], [5, 64]), ([4, 3, 7], [3, 7]), ([3, 2, 129], [2, 129]), ([6, 12], [1, 12]),
  ]
}

/// The gradient of `LayerNorm` with respect to x: (x, weight, mean, rstd, dy [, residual]) -> dx [+ residual].
package struct LayerNormBackward: Op {
  package static let name = "layer_norm_backward"
  /// Whether input 5 is added to the result, as the gradient that reaches x by another way.
  var addsResidual = false

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard inputs[4] == inputs[0], !addsResidual || inputs[5] == inputs[0] else {
      throw mismatch(inputs, "dy or residual is not like x")
    }
    return [inputs[0]]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let rows = RowClusters(site.inputs[0].shape, site.traits)
    let columns = Int(rows.columns)
    return Launch([
      Dispatch(
        LayerNormBackwardKernel.self,
        constants: .init(
          CLUSTER: rows.cluster, C: rows.columns, TURN: UInt32(site.inputs[1].shape.rows), RESIDUAL: addsResidual),
        push: .init(rows: rows.count),
        [
          .input(0).texels(rowsOf: columns), .input(1).texels(rowsOf: columns), .input(2).texels(.r32f),
          .input(3).texels(.r32f), .input(4).texels(rowsOf: columns),
          addsResidual ? .input(5).texels(rowsOf: columns) : .unused, .output(0),
        ],
        groups: rows.groups, lanes: rows.lanes)
    ])
  }

  package func absorbing(_ consumer: any Op, operand: Int, keepingOriginal: Bool) -> Absorption? {
    guard consumer is Add, !addsResidual, !keepingOriginal else { return nil }
    return Absorption(LayerNormBackward(addsResidual: true), extraInputs: [1 - operand])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (x, weight, mean, rstd, dy) = (inputs[0], inputs[1], inputs[2], inputs[3], inputs[4])
    let columns = x.shape.last
    var dx = x
    for r in 0..<x.shape.rows {
      let row = r * columns..<(r + 1) * columns
      let g = row.map { dy[$0] * weight[$0 % weight.data.count] }
      let h = row.map { (x[$0] - mean[r]) * rstd[r] }
      let meanG = g.reduce(0, +) / Double(columns)
      let meanGH = zip(g, h).reduce(0) { $0 + $1.0 * $1.1 } / Double(columns)
      for (c, i) in row.enumerated() {
        dx[i] = rstd[r] * (g[c] - meanG - h[c] * meanGH) + (addsResidual ? inputs[5][i] : 0)
      }
    }
    return [dx]
  }

  package static let cases = LayerNorm.cases.enumerated().map { index, forward -> OpCase in
    let (shape, weight) = (forward.inputs[0].type.shape, forward.inputs[1].type.shape)
    let (rows, adds) = (Shape([shape.rows]), index % 2 == 0)
    return OpCase(
      "\(forward.name)\(adds ? " with residual" : "")", LayerNormBackward(addsResidual: adds),
      [.init(shape), .init(weight), .init(rows), .init(rows, .f32, .uniform(0.5, 2)), .init(shape)]
        + (adds ? [.init(shape)] : []), checksGradient: false)
  }
}

/// The gradients of `LayerNorm` with respect to weight and bias, both of `shape`: (x, mean, rstd, dy) -> dweight, dbias.
package struct LayerNormParameterGradients: Op {
  package static let name = "layer_norm_parameter_gradients"
  let shape: Shape

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard inputs[3] == inputs[0], inputs[0].shape.rows % shape.rows == 0 else {
      throw mismatch(inputs, "dy is not like x, or its rows are not those of \(shape) in turn")
    }
    return [TensorType(shape), TensorType(shape)]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    // One row for all rows of weight and bias side by side.
    let chunks = RowChunks(
      rows: site.inputs[0].shape.rows / shape.rows, columns: shape.count, within: shape.last, traits: site.traits)
    let whole = chunks.count == 1
    let partial = Dispatch(
      LayerNormParameterGradientsKernel.self,
      constants: .init(
        CLUSTER: chunks.tiles.clusterConstant, C: UInt32(chunks.columns), local_size_x: chunks.tiles.groupSize,
        ROW: UInt32(shape.last)),
      push: .init(rows: UInt32(chunks.rows), chunk: UInt32(chunks.extent), chunks: UInt32(chunks.count)),
      [
        .input(0).texels(rowsOf: chunks.columns), .input(1).texels(.r32f), .input(2).texels(.r32f),
        .input(3).texels(rowsOf: chunks.columns), whole ? .output(0) : .scratch(0), whole ? .output(1) : .scratch(1),
      ],
      groups: chunks.groups, lanes: chunks.tiles.lanes)
    if whole { return Launch([partial]) }
    return Launch(
      scratch: [chunks.partial, chunks.partial],
      [partial] + (0..<2).map { chunks.ofPartial.sum(.scratch($0), to: .output($0)) })
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (x, mean, rstd, dy) = (inputs[0], inputs[1], inputs[2], inputs[3])
    let columns = x.shape.last
    var dweight = HostTensor(zeros: TensorType(shape))
    var dbias = dweight
    for i in x.data.indices {
      dweight[i % shape.count] += dy[i] * (x[i] - mean[i / columns]) * rstd[i / columns]
      dbias[i % shape.count] += dy[i]
    }
    return [dweight, dbias]
  }

  package static let cases =
    [[1, 2], [3, 7], [2, 85, 64], [129, 10], [700, 129], [4100, 4]].map { (extents: [Int]) in
      opCase(Shape(extents), [extents.last ?? 1])
    } + LayerNorm.inTurn.map { opCase($0, $1) } + [
      opCase([700, 2, 66], [2, 66]), opCase([1300, 200], [200]), opCase([40, 5, 64], [5, 64]),
    ]

  private static func opCase(_ x: Shape, _ weight: Shape) -> OpCase {
    let rows: Shape = [x.rows]
    return OpCase(
      "\(x) to \(weight)", LayerNormParameterGradients(shape: weight),
      [.init(x), .init(rows), .init(rows, .f32, .uniform(0.5, 2)), .init(x)], checksGradient: false)
  }
}

extension Value {
  /// Over the last axis; `weight` and `bias` are [C], or [U, C] for the rows in turn.
  package func layerNorm(weight: Value, bias: Value, eps: Double) throws(ShapeError) -> Value {
    try graph.apply(LayerNorm(eps: eps), to: [self, weight, bias])[0]
  }
}
