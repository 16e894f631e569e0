import Graph
import Kernels

/// y[o, n, m, d] = x[o, m, n, d]: two neighbouring axes of x, read as [..., M, N, D], change places; y has any shape of as
/// many elements.
package struct SwapAxes: Op {
  package static let name = "swap_axes"
  let m: Int
  let n: Int
  let inner: Int
  let shape: Shape

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard inputs[0].count == shape.count, shape.count % (m * n * inner) == 0 else {
      throw mismatch(inputs, "x is not [..., \(m), \(n), \(inner)], or \(shape) has other elements")
    }
    return [TensorType(shape)]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let count = site.outputs[0].count
    return Launch([
      Dispatch(
        SwapAxesKernel.self, constants: .init(M: UInt32(m), N: UInt32(n), D: UInt32(inner)),
        push: .init(count: UInt32(count)), [.input(0).texels(rowsOf: inner), .output(0)],
        vectors: (count + 3) / 4, site.traits)
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    [try pullback.cotangents[0]?.swappingAxes(n, m, inner: inner, as: pullback.inputs[0].shape)]
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let x = inputs[0]
    var y = HostTensor(zeros: TensorType(shape))
    for i in x.data.indices {
      let (d, column, row, outer) = (i % inner, i / inner % n, i / (inner * n) % m, i / (inner * n * m))
      y[((outer * n + column) * m + row) * inner + d] = x[i]
    }
    return [y]
  }

  package static let cases: [OpCase] = [
    ([1, 1], 1, 1, 1, [1]), ([3, 5, 8], 5, 2, 4, [3, 2, 5, 4]), ([2, 3, 15], 3, 5, 3, [2, 5, 9]),
    ([4, 7, 6], 4, 7, 6, [7, 24]), ([2, 17, 64], 17, 4, 16, [2, 4, 17, 16]),
  ].map { (x: Shape, m: Int, n: Int, inner: Int, y: Shape) in
    OpCase("\(x) by \(m), \(n), \(inner)", SwapAxes(m: m, n: n, inner: inner, shape: y), [.init(x)])
  }
}

extension Value {
  /// [..., M, N, D] -> [..., N, M, D], as `shape`.
  package func swappingAxes(_ m: Int, _ n: Int, inner: Int, as shape: Shape) throws(ShapeError) -> Value {
    try graph.apply(SwapAxes(m: m, n: n, inner: inner, shape: shape), to: [self])[0]
  }

  /// [B, T, H D] -> [B, H, T, D].
  package func splitHeads(_ heads: Int) throws(ShapeError) -> Value {
    guard shape.rank == 3, shape[2] % heads == 0 else {
      throw ShapeError(op: "split_heads", inputs: [type], reason: "x is not [B, T, \(heads) D]")
    }
    let inner = shape[2] / heads
    return try swappingAxes(shape[1], heads, inner: inner, as: [shape[0], heads, shape[1], inner])
  }

  /// [B, H, T, D] -> [B, T, H D].
  package func mergedHeads() throws(ShapeError) -> Value {
    guard shape.rank == 4 else { throw ShapeError(op: "merge_heads", inputs: [type], reason: "x is not [B, H, T, D]") }
    return try swappingAxes(shape[1], shape[2], inner: shape[3], as: [shape[0], shape[2], shape[1] * shape[3]])
  }
}

/// The same elements under another shape. A copy, since a value is a place in memory; for small tensors.
package struct Reshape: Op {
  package static let name = "reshape"
  let shape: Shape

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard inputs[0].count == shape.count, inputs[0].dtype == .f32 else {
      throw mismatch(inputs, "\(shape) has other elements")
    }
    return [TensorType(shape)]
  }

  package func launch(_ site: LaunchSite) -> Launch { Copy().launch(site) }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    [try pullback.cotangents[0]?.reshaped(pullback.inputs[0].shape)]
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] { [HostTensor(shape, inputs[0].data)] }

  package static let cases: [OpCase] = [([1], [1, 1]), ([3, 7], [21]), ([2, 3, 4], [6, 4])].map {
    (x: Shape, y: Shape) in
    OpCase("\(x) as \(y)", Reshape(shape: y), [.init(x)])
  }
}

extension Value {
  package func reshaped(_ shape: Shape) throws(ShapeError) -> Value {
    self.shape == shape ? self : try graph.apply(Reshape(shape: shape), to: [self])[0]
  }
}
