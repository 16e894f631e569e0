import Graph
import Kernels

/// What a latent's features are multiplied by (ModFC, Rahaman et al. 2022): y = 1 + gain LN(x), with a LayerNorm without
/// parameters: (x [..., C], gain [1]) -> y [..., C].
package struct Modulation: Op {
  package static let name = "modulation"
  let eps: Double

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard inputs[1] == TensorType([1]) else { throw mismatch(inputs, "the gain is not one number") }
    return [inputs[0]]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let rows = RowClusters(site.inputs[0].shape, site.traits)
    return Launch([
      Dispatch(
        ModulationKernel.self, constants: .init(CLUSTER: rows.cluster, C: rows.columns),
        push: .init(rows: rows.count, eps: Float(eps)),
        [.input(0).texels(rowsOf: Int(rows.columns)), .input(1).texels(.r32f), .output(0)], groups: rows.groups,
        lanes: rows.lanes)
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    guard let dy = pullback.cotangents[0] else { return [nil, nil] }
    let gradients = try dy.graph.apply(ModulationBackward(eps: eps), to: pullback.inputs + [dy])
    return [gradients[0], pullback.needs[1] ? try gradients[1].sum() : nil]
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    [HostTensor(inputs[0].type, standardized(inputs[0], eps: eps).rows.map { 1 + inputs[1][0] * $0 })]
  }

  package static let cases = [[1, 2], [3, 7], [2, 17, 64], [9, 12], [5, 129], [3, 768]].map { (extents: [Int]) in
    OpCase("\(Shape(extents))", Modulation(eps: 1e-3), [.init(Shape(extents)), .init([1])])
  }
}

/// The gradient of `Modulation`: (x, gain, dy) -> dx, and for each row of x what it adds to the gain's.
package struct ModulationBackward: Op {
  package static let name = "modulation_backward"
  let eps: Double

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard inputs[2] == inputs[0] else { throw mismatch(inputs, "dy is not like x") }
    return [inputs[0], TensorType([inputs[0].shape.rows])]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let rows = RowClusters(site.inputs[0].shape, site.traits)
    let columns = Int(rows.columns)
    return Launch([
      Dispatch(
        ModulationBackwardKernel.self, constants: .init(CLUSTER: rows.cluster, C: rows.columns),
        push: .init(rows: rows.count, eps: Float(eps)),
        [
          .input(0).texels(rowsOf: columns), .input(1).texels(.r32f), .input(2).texels(rowsOf: columns), .output(0),
          .output(1),
        ], groups: rows.groups, lanes: rows.lanes)
    ])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (x, gain, dy, columns) = (inputs[0], inputs[1][0], inputs[2], inputs[0].shape.last)
    let (h, rstd) = standardized(x, eps: eps)
    var dx = x
    var dgain = HostTensor(zeros: TensorType([x.shape.rows]))
    for r in 0..<x.shape.rows {
      let row = r * columns..<(r + 1) * columns
      dgain[r] = row.reduce(0) { $0 + dy[$1] * h[$1] }
      let mean = row.reduce(0) { $0 + dy[$1] } / Double(columns)
      for i in row { dx[i] = gain * rstd[r] * (dy[i] - mean - h[i] * dgain[r] / Double(columns)) }
    }
    return [dx, dgain]
  }

  package static let cases = Modulation.cases.map { forward in
    OpCase(
      forward.name, ModulationBackward(eps: 1e-3), forward.inputs + [forward.inputs[0]], checksGradient: false)
  }
}

/// Rows with mean 0 and variance 1, and 1 / sqrt(variance + eps) of each.
private func standardized(_ x: HostTensor, eps: Double) -> (rows: [Double], rstd: [Double]) {
  let columns = x.shape.last
  var (rows, rstd) = (x.data, [Double](repeating: 0, count: x.shape.rows))
  for r in rstd.indices {
    let row = r * columns..<(r + 1) * columns
    let mean = row.reduce(0) { $0 + x[$1] } / Double(columns)
    let variance = row.reduce(0) { $0 + (x[$1] - mean) * (x[$1] - mean) } / Double(columns)
    rstd[r] = 1 / (variance + eps).squareRoot()
    for i in row { rows[i] = (x[i] - mean) * rstd[r] }
  }
  return (rows, rstd)
}

extension Value {
  /// 1 + gain LN(x) over the last axis; the gain is [1].
  package func modulation(gain: Value, eps: Double) throws(ShapeError) -> Value {
    try graph.apply(Modulation(eps: eps), to: [self, gain])[0]
  }
}
