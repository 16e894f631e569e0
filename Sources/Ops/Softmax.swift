import Foundation
import Graph
import Kernels

/// y = softmax(scale x + bias) over the last axis: x [B, H, U, V] with a bias [U, V] for all samples and heads, or
/// [B, U, V] for all heads, or x [..., V] without one.
package struct Softmax: Op {
  package static let name = "softmax"
  let scale: Float

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    let x = inputs[0].shape
    guard x.rank >= 1 else { throw mismatch(inputs, "x is not [..., V]") }
    if inputs.count > 1 {
      guard x.rank == 4, inputs[1].shape == [x[2], x[3]] || inputs[1].shape == [x[0], x[2], x[3]] else {
        throw mismatch(inputs, "the bias is not [U, V] or [B, U, V] of x [B, H, U, V]")
      }
    }
    return [inputs[0]]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let x = site.inputs[0].shape
    let rows = RowClusters(x, site.traits)
    let biased = site.inputs.count > 1
    return Launch([
      Dispatch(
        SoftmaxKernel.self,
        constants: .init(
          CLUSTER: rows.cluster, C: rows.columns, BIAS: biased,
          SHARED: biased && Self.isShared(x, bias: site.inputs[1].shape), HELD: rows.areHeld,
          U: UInt32(biased ? x[2] : 1), SAMPLE_ROWS: UInt32(biased ? x[1] * x[2] : 1)),
        push: .init(rows: rows.count, scale: scale),
        [
          .input(0).texels(rowsOf: x.last), biased ? .input(1).texels(rowsOf: x.last) : .unused, .output(0),
        ],
        groups: rows.groups, lanes: rows.lanes)
    ])
  }

  /// Whether one bias serves all samples. With one sample both forms are the same.
  private static func isShared(_ x: Shape, bias: Shape) -> Bool { bias.rank == 2 }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    guard let dy = pullback.cotangents[0] else { return pullback.inputs.map { _ in nil } }
    let dx = try dy.graph.apply(SoftmaxBackward(scale: scale), to: [pullback.outputs[0], dy])[0]
    guard pullback.inputs.count > 1 else { return [dx] }
    let bias = pullback.inputs[1].shape
    let segments = bias.rank == 2 ? 1 : bias[0]
    return [
      dx,
      pullback.needs[1]
        ? try dy.graph.apply(SegmentSum(segments: segments, shape: bias, factor: 1 / scale), to: [dx])[0] : nil,
    ]
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (x, columns) = (inputs[0], inputs[0].shape.last)
    var y = x
    for r in 0..<x.shape.rows {
      let scores = (0..<columns).map { c -> Double in
        var score = Double(scale) * x[r * columns + c]
        if inputs.count > 1 {
          let (h, u) = (x.shape[1], x.shape[2])
          let sample = inputs[1].shape.rank == 3 ? r / (h * u) : 0
          score += inputs[1][(sample * u + r % u) * columns + c]
        }
        return score
      }
      let peak = scores.max() ?? 0
      let total = scores.reduce(0) { $0 + exp($1 - peak) }
      for c in 0..<columns { y[r * columns + c] = exp(scores[c] - peak) / total }
    }
    return [y]
  }

  package static let cases: [OpCase] =
    SoftmaxBackward.shapes.map { OpCase("\($0)", Softmax(scale: 0.7), [.init($0, .f32, .normal(3))]) }
    + biased.map { x, bias in
      OpCase("\(x), bias \(bias)", Softmax(scale: 0.5), [.init(x), .init(bias)])
    } + [
      // exp of one overflows.
      OpCase("large", Softmax(scale: 1), [.init([5, 33], .f32, .normal(100))]),
      OpCase(
        "large scores", Softmax(scale: 30), [.init([2, 2, 3, 21], .f32, .normal(8)), .init([3, 21])],
        checksGradient: false),
    ]

  private static let biased: [(x: Shape, bias: Shape)] = [
    ([2, 3, 5, 7], [5, 7]), ([2, 3, 5, 7], [2, 5, 7]), ([3, 2, 4, 12], [4, 12]), ([3, 2, 4, 12], [3, 4, 12]),
  ]
}

/// The gradient of `Softmax` with respect to x: (y, dy) -> dx.
package struct SoftmaxBackward: Op {
  package static let name = "softmax_backward"
  let scale: Float

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard inputs[0] == inputs[1] else { throw mismatch(inputs, "shapes differ") }
    return [inputs[0]]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let rows = RowClusters(site.inputs[0].shape, site.traits)
    let columns = Int(rows.columns)
    return Launch([
      Dispatch(
        SoftmaxBackwardKernel.self,
        constants: .init(CLUSTER: rows.cluster, C: rows.columns, HELD: rows.areHeld),
        push: .init(rows: rows.count, scale: scale),
        [.input(0).texels(rowsOf: columns), .input(1).texels(rowsOf: columns), .output(0)], groups: rows.groups,
        lanes: rows.lanes)
    ])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (y, dy, columns) = (inputs[0], inputs[1], inputs[0].shape.last)
    var dx = y
    for r in 0..<y.shape.rows {
      let row = r * columns..<(r + 1) * columns
      let along = row.reduce(0) { $0 + y[$1] * dy[$1] }
      for i in row { dx[i] = Double(scale) * y[i] * (dy[i] - along) }
    }
    return [dx]
  }

  /// Rows that begin at a vector, a word of two floats, or neither; fewer vectors than lanes; rows too long to hold.
  static let shapes: [Shape] = [
    [1, 1], [5, 2], [3, 7], [4, 8], [7, 197], [2, 17, 64], [5, 129], [3, 700], [3, 1023],
    // As many as a subgroup takes together.
    [60, 9], [33, 18], [10, 197], [6, 129], [4, 1023], [3, 1026],
  ]

  package static let cases = shapes.map {
    OpCase(
      "\($0)", SoftmaxBackward(scale: 0.7), [.init($0, .f32, .uniform(0, 0.1)), .init($0)], checksGradient: false)
  }
}

/// y[s, j] = factor times the sum over k of x[s, k, j]: x is read as [segments, K, J], y of `shape` as [segments, J].
package struct SegmentSum: Op {
  package static let name = "segment_sum"
  let segments: Int
  let shape: Shape
  let factor: Float

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard shape.count % segments == 0, inputs[0].count % shape.count == 0, inputs[0].count / shape.count <= 65_535
    else { throw mismatch(inputs, "x is not [\(segments), K, J] with K of 65,535 or less for \(shape)") }
    return [TensorType(shape)]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let inner = shape.count / segments
    return Launch([
      Dispatch(
        SegmentSumKernel.self, constants: .init(INNER: UInt32(inner)),
        push: .init(
          count: UInt32(shape.count), K: UInt32(site.inputs[0].count / shape.count), factor: factor),
        [.input(0).texels(rowsOf: inner), .output(0)], groups: .linear((shape.count + 3) / 4, perGroup: 64))
    ])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let inner = shape.count / segments
    let extent = inputs[0].data.count / segments
    var y = HostTensor(zeros: TensorType(shape))
    for i in inputs[0].data.indices { y[i / extent * inner + i % inner] += Double(factor) * inputs[0][i] }
    return [y]
  }

  package static let cases: [OpCase] = [
    ([1, 1], 1, [1]), ([6, 7], 2, [2, 7]), ([3, 5, 8], 1, [5, 8]), ([4, 9, 12], 4, [4, 12]),
  ].map { (x: Shape, segments: Int, y: Shape) in
    OpCase(
      "\(x) to \(y)", SegmentSum(segments: segments, shape: y, factor: 0.5), [.init(x)], checksGradient: false)
  }
}

extension Value {
  /// softmax(scale x + bias) over the last axis; the bias is [U, V] or [B, U, V] of x [B, H, U, V].
  package func softmax(scale: Float = 1, bias: Value? = nil) throws(ShapeError) -> Value {
    try graph.apply(Softmax(scale: scale), to: [self] + (bias.map { [$0] } ?? []))[0]
  }
}
