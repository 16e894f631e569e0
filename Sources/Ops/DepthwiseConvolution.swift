import Graph
import Kernels

/// 7 x 7 convolution of each channel by itself, with zeros around the image: (x [B, H, W, C], weight [C, 49]) -> y like x.
/// Channels are last, as everywhere; the weight is that of `nn.Conv2d(C, C, 7, padding=3, groups=C)`, [C, 1, 7, 7].
package struct DepthwiseConvolution: Op {
  package static let name = "depthwise_convolution"
  static let extent = 7
  static let taps = extent * extent
  /// Whether the taps are turned by 180 degrees, which makes it the gradient with respect to x.
  var flips = false

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard inputs[0].shape.rank == 4, inputs[1].shape == [inputs[0].shape[3], Self.taps] else {
      throw mismatch(inputs, "x is not [B, H, W, C] with weight [C, \(Self.taps)]")
    }
    return [inputs[0]]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let x = site.inputs[0].shape
    let vectors = (x[3] + 3) / 4
    return Launch(
      scratch: [TensorType([Self.taps, 4 * vectors])],
      [
        Dispatch(
          DepthwiseTapsKernel.self, constants: .init(C: UInt32(x[3]), FLIP: flips), push: .init(),
          [.input(1).texels(.r32f), .scratch(0)], groups: .linear(Self.taps * vectors, perGroup: 64)),
        Dispatch(
          DepthwiseConvolutionKernel.self, constants: .init(H: UInt32(x[1]), W: UInt32(x[2]), C: UInt32(x[3])),
          push: .init(batch: UInt32(x[0])),
          [.input(0).texels(rowsOf: x[3]), .scratch(0).texels(.rgba32f), .output(0)],
          groups: .linear(x[0] * x[1] * ((x[2] + 3) / 4) * vectors, perGroup: 64)),
      ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    guard let dy = pullback.cotangents[0] else { return [nil, nil] }
    let (x, weight) = (pullback.inputs[0], pullback.inputs[1])
    return [
      pullback.needs[0] ? try dy.graph.apply(DepthwiseConvolution(flips: !flips), to: [dy, weight])[0] : nil,
      pullback.needs[1] ? try dy.graph.apply(DepthwiseWeightGradient(), to: [x, dy])[0] : nil,
    ]
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (x, weight) = (inputs[0], inputs[1])
    var y = x.map { _ in 0 }
    Self.forEachProduct(x.shape) { from, to, tap in
      let c = to % x.shape[3]
      y[to] += x[from] * weight[c * Self.taps + (flips ? Self.taps - 1 - tap : tap)]
    }
    return [y]
  }

  /// The elements of x, of y and the tap that meet.
  static func forEachProduct(_ shape: Shape, _ body: (_ x: Int, _ y: Int, _ tap: Int) -> Void) {
    let (height, width, channels) = (shape[1], shape[2], shape[3])
    for e in 0..<shape.count {
      let (c, j, i, b) = (
        e % channels, e / channels % width, e / (channels * width) % height, e / (channels * width * height)
      )
      for tap in 0..<taps {
        let (y, x) = (i + tap / extent - extent / 2, j + tap % extent - extent / 2)
        if 0..<height ~= y, 0..<width ~= x { body(((b * height + y) * width + x) * channels + c, e, tap) }
      }
    }
  }

  package func cost(_ inputs: [TensorType], _ outputs: [TensorType]) -> Cost {
    Cost(flops: 2 * Self.taps * outputs[0].count, bytes: (inputs + outputs).reduce(0) { $0 + $1.bytes })
  }

  package static let sizes: [Shape] = [[1, 1, 1, 1], [2, 3, 5, 7], [1, 9, 8, 12], [2, 8, 8, 6], [1, 4, 10, 64]]

  package static let cases = sizes.map { shape in
    OpCase("\(shape)", DepthwiseConvolution(), [.init(shape), .init([shape[3], taps])])
  }
}

/// What `DepthwiseConvolution` owes its weight: (x, dy) [B, H, W, C] -> [C, 49].
package struct DepthwiseWeightGradient: Op {
  package static let name = "depthwise_weight_gradient"

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard inputs[0].shape.rank == 4, inputs[0] == inputs[1] else { throw mismatch(inputs, "not two of [B, H, W, C]") }
    return [TensorType([inputs[0].shape[3], DepthwiseConvolution.taps])]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let x = site.inputs[0].shape
    let rows = x[0] * x[1]
    // An invocation sums a chunk of image rows for four channels and seven taps; a few thousand of them fill a device, and a
    // loop may do 65,535 rounds.
    let lanes = (x[3] + 3) / 4 * DepthwiseConvolution.extent
    let wanted = max((site.traits.isSoftware ? 2048 : 32_768) / lanes, (rows + 65_534) / 65_535)
    let chunk = (rows + min(rows, max(1, wanted)) - 1) / min(rows, max(1, wanted))
    let chunks = (rows + chunk - 1) / chunk
    let sums = Dispatch(
      DepthwiseWeightGradientKernel.self, constants: .init(H: UInt32(x[1]), W: UInt32(x[2]), C: UInt32(x[3])),
      push: .init(rows: UInt32(rows), chunk: UInt32(chunk)),
      [.input(0).texels(rowsOf: x[3]), .input(1).texels(rowsOf: x[3]), chunks == 1 ? .output(0) : .scratch(0)],
      groups: .linear(lanes * chunks, perGroup: 64))
    if chunks == 1 { return Launch([sums]) }
    let columns = site.outputs[0].count
    let total = Launch.columnSum(.scratch(0), rows: chunks, columns: columns, traits: site.traits, firstScratch: 1)
    return Launch(scratch: [TensorType([chunks, columns])] + total.scratch, [sums] + total.dispatches)
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (x, dy, taps) = (inputs[0], inputs[1], DepthwiseConvolution.taps)
    var dweight = HostTensor(zeros: TensorType([x.shape[3], taps]))
    DepthwiseConvolution.forEachProduct(x.shape) { from, to, tap in
      dweight[to % x.shape[3] * taps + tap] += x[from] * dy[to]
    }
    return [dweight]
  }

  package func cost(_ inputs: [TensorType], _ outputs: [TensorType]) -> Cost {
    Cost(
      flops: 2 * DepthwiseConvolution.taps * inputs[0].count, bytes: (inputs + outputs).reduce(0) { $0 + $1.bytes })
  }

  package static let cases = (DepthwiseConvolution.sizes + [[16, 40, 3, 4]]).map { shape in
    OpCase("\(shape)", DepthwiseWeightGradient(), [.init(shape), .init(shape)], checksGradient: false)
  }
}

extension Value {
  /// [B, H, W, C] by 7 x 7 taps [C, 49] for each channel.
  package func depthwiseConvolution(_ weight: Value) throws(ShapeError) -> Value {
    try graph.apply(DepthwiseConvolution(), to: [self, weight])[0]
  }
}
