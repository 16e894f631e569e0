import GPU
import Graph
import Kernels

/// Two tensors one behind the other along an axis.
package struct Concatenate: Op {
  package static let name = "concatenate"
  let axis: Int

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    let (a, b) = (inputs[0].shape, inputs[1].shape)
    guard a.rank == b.rank, a.extents.indices.contains(axis),
      a.extents.indices.allSatisfy({ $0 == axis || a[$0] == b[$0] })
    else { throw mismatch(inputs, "shapes differ beside axis \(axis)") }
    var shape = a
    shape.extents[axis] += b[axis]
    return [TensorType(shape)]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let (a, b) = (Self.row(site.inputs[0].shape, axis), Self.row(site.inputs[1].shape, axis))
    let count = site.outputs[0].count
    let format: TexelFormat = a % 4 == 0 && b % 4 == 0 ? .rgba32f : .r32f
    return Launch([
      Dispatch(
        ConcatenateKernel.self, constants: .init(A: UInt32(a), B: UInt32(b)), push: .init(count: UInt32(count)),
        [.input(0).texels(format), .input(1).texels(format), .output(0)],
        vectors: (count + 3) / 4, site.traits)
    ])
  }

  /// Elements of the axes from `axis` on.
  static func row(_ shape: Shape, _ axis: Int) -> Int { shape.extents[axis...].reduce(1, *) }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    guard let dy = pullback.cotangents[0] else { return [nil, nil] }
    let (a, b) = (pullback.inputs[0].shape[axis], pullback.inputs[1].shape[axis])
    return [
      pullback.needs[0] ? try dy.slice(0..<a, axis: axis) : nil,
      pullback.needs[1] ? try dy.slice(a..<a + b, axis: axis) : nil,
    ]
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (a, b) = (Self.row(inputs[0].shape, axis), Self.row(inputs[1].shape, axis))
    var shape = inputs[0].shape
    shape.extents[axis] += inputs[1].shape[axis]
    var data: [Double] = []
    for o in 0..<inputs[0].data.count / a {
      data += inputs[0].data[o * a..<(o + 1) * a]
      data += inputs[1].data[o * b..<(o + 1) * b]
    }
    return [HostTensor(shape, data)]
  }

  package static let cases: [OpCase] = [
    ([1], [1], 0), ([3, 7], [3, 2], 1), ([2, 5, 8], [2, 3, 8], 1), ([3, 7], [4, 7], 0), ([2, 4, 12], [2, 4, 8], 2),
    ([9, 40], [9, 16], 1),
  ].map { (a: Shape, b: Shape, axis: Int) in
    OpCase("\(a) and \(b) along \(axis)", Concatenate(axis: axis), [.init(a), .init(b)])
  }
}

/// A range of an axis.
package struct Slice: Op {
  package static let name = "slice"
  let range: Range<Int>
  let axis: Int

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    var shape = inputs[0].shape
    guard shape.extents.indices.contains(axis), !range.isEmpty, range.lowerBound >= 0, range.upperBound <= shape[axis]
    else { throw mismatch(inputs, "no \(range) along axis \(axis)") }
    shape.extents[axis] = range.count
    return [TensorType(shape)]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let (x, y) = (site.inputs[0].shape, site.outputs[0].shape)
    let (width, length) = (Concatenate.row(x, axis), Concatenate.row(y, axis))
    let start = width / x[axis] * range.lowerBound
    let isAligned = width % 4 == 0 && length % 4 == 0 && start % 4 == 0
    return Launch([
      Dispatch(
        SliceKernel.self, constants: .init(WIDTH: UInt32(width), START: UInt32(start), LENGTH: UInt32(length)),
        push: .init(count: UInt32(y.count)), [.input(0).texels(isAligned ? .rgba32f : .r32f), .output(0)],
        vectors: (y.count + 3) / 4, site.traits)
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    guard var dx = pullback.cotangents[0] else { return [nil] }
    let shape = pullback.inputs[0].shape
    func zeros(_ extent: Int) throws(ShapeError) -> Value {
      var zeros = shape
      zeros.extents[axis] = extent
      return try dx.graph.fill(zeros, with: 0)
    }
    if range.lowerBound > 0 { dx = try zeros(range.lowerBound).concatenated(with: dx, axis: axis) }
    let rest = shape[axis] - range.upperBound
    if rest > 0 { dx = try dx.concatenated(with: zeros(rest), axis: axis) }
    return [dx]
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let x = inputs[0]
    var shape = x.shape
    shape.extents[axis] = range.count
    let (width, length) = (Concatenate.row(x.shape, axis), Concatenate.row(shape, axis))
    let start = width / x.shape[axis] * range.lowerBound
    var data: [Double] = []
    for o in 0..<x.data.count / width {
      let first = o * width + start
      data += x.data[first..<first + length]
    }
    return [HostTensor(shape, data)]
  }

  package static let cases: [OpCase] = [
    ([1], 0..<1, 0), ([3, 7], 2..<5, 1), ([2, 5, 8], 1..<5, 1), ([4, 7], 0..<3, 0), ([2, 4, 12], 4..<8, 2),
    ([9, 80], 8..<64, 1),
  ].map { (x: Shape, range: Range<Int>, axis: Int) in
    OpCase("\(x) \(range) along \(axis)", Slice(range: range, axis: axis), [.init(x)])
  }
}

extension Value {
  package func concatenated(with other: Value, axis: Int) throws(ShapeError) -> Value {
    try graph.apply(Concatenate(axis: axis), to: [self, other])[0]
  }

  package func slice(_ range: Range<Int>, axis: Int) throws(ShapeError) -> Value {
    try graph.apply(Slice(range: range, axis: axis), to: [self])[0]
  }
}
