import Graph
import Kernels

/// The first token of each sample, the class token: [B, T, C] -> [B, C], or [B, 1, C] where the axis is kept.
package struct TakeToken: Op {
  package static let name = "take_token"
  var keepsAxis = false

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    let shape = inputs[0].shape
    guard shape.rank == 3 else { throw mismatch(inputs, "x is not [B, T, C]") }
    return [TensorType(keepsAxis ? [shape[0], 1, shape[2]] : [shape[0], shape[2]])]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let rows = RowClusters(site.outputs[0].shape, site.traits)
    return Launch([
      Dispatch(
        TakeTokenKernel.self,
        constants: .init(CLUSTER: rows.cluster, C: rows.columns, T: UInt32(site.inputs[0].shape[1])),
        push: .init(rows: rows.count), [.input(0).texels(rowsOf: Int(rows.columns)), .output(0)],
        groups: rows.groups, lanes: rows.lanes)
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    guard let dy = pullback.cotangents[0] else { return [nil] }
    return try dy.graph.apply(PlaceToken(tokens: pullback.inputs[0].shape[1]), to: [dy])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (x, shape) = (inputs[0], inputs[0].shape)
    let sample = shape[1] * shape[2]
    let first = (0..<shape[0]).flatMap { b -> ArraySlice<Double> in x.data[b * sample..<b * sample + shape[2]] }
    return [HostTensor(keepsAxis ? [shape[0], 1, shape[2]] : [shape[0], shape[2]], first)]
  }

  package static let cases = [[1, 1, 1], [2, 3, 7], [3, 17, 8], [5, 4, 13], [4, 3, 136], [2, 3, 197]].enumerated().map {
    (index: Int, extents: [Int]) in
    OpCase("\(Shape(extents))", TakeToken(keepsAxis: index % 2 == 1), [.init(Shape(extents))])
  }
}

/// The first of `tokens` tokens, the others zero: [B, C] or [B, 1, C] -> [B, T, C].
package struct PlaceToken: Op {
  package static let name = "place_token"
  let tokens: Int

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    let shape = inputs[0].shape
    guard shape.rank == 2 || (shape.rank == 3 && shape[1] == 1) else {
      throw mismatch(inputs, "x is not [B, C] or [B, 1, C]")
    }
    return [TensorType([shape[0], tokens, shape.last])]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let rows = RowClusters(site.outputs[0].shape, site.traits)
    return Launch([
      Dispatch(
        PlaceTokenKernel.self, constants: .init(CLUSTER: rows.cluster, C: rows.columns, T: UInt32(tokens)),
        push: .init(rows: rows.count), [.input(0).texels(rowsOf: Int(rows.columns)), .output(0)],
        groups: rows.groups, lanes: rows.lanes)
    ])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (x, columns) = (inputs[0], inputs[0].shape.last)
    var y = HostTensor(zeros: TensorType([x.shape[0], tokens, columns]))
    for i in x.data.indices { y[i / columns * tokens * columns + i % columns] = x[i] }
    return [y]
  }

  package static let cases = [
    ([1, 1], 1), ([2, 7], 3), ([3, 1, 8], 17), ([5, 13], 4), ([4, 136], 3), ([2, 197], 3),
  ].map {
    (extents: [Int], tokens: Int) in
    OpCase("\(Shape(extents))", PlaceToken(tokens: tokens), [.init(Shape(extents))], checksGradient: false)
  }
}
