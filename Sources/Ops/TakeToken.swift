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
    let (shape, count) = (site.inputs[0].shape, site.outputs[0].count)
    return Launch([
      Dispatch(
        TakeTokenKernel.self, constants: .init(C: UInt32(shape[2]), INNER: UInt32(shape[1] * shape[2])),
        push: .init(count: UInt32(count)), [.input(0).texels(rowsOf: shape[2]), .output(0)],
        groups: .linear((count + 3) / 4, perGroup: 64))
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

  package static let cases = [[1, 1, 1], [2, 3, 7], [3, 17, 8], [5, 4, 13]].enumerated().map {
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
    let (shape, count) = (site.outputs[0].shape, site.outputs[0].count)
    return Launch([
      Dispatch(
        PlaceTokenKernel.self, constants: .init(C: UInt32(shape[2]), INNER: UInt32(shape[1] * shape[2])),
        push: .init(count: UInt32(count)), [.input(0).texels(rowsOf: shape[2]), .output(0)],
        groups: .linear((count + 3) / 4, perGroup: 64))
    ])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (x, columns) = (inputs[0], inputs[0].shape.last)
    var y = HostTensor(zeros: TensorType([x.shape[0], tokens, columns]))
    for i in x.data.indices { y[i / columns * tokens * columns + i % columns] = x[i] }
    return [y]
  }

  package static let cases = [([1, 1], 1), ([2, 7], 3), ([3, 1, 8], 17), ([5, 13], 4)].map {
    (extents: [Int], tokens: Int) in
    OpCase("\(Shape(extents))", PlaceToken(tokens: tokens), [.init(Shape(extents))], checksGradient: false)
  }
}
