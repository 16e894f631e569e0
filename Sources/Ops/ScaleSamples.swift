import Graph
import Kernels

/// y[b, ...] = scale[b] x[b, ...]: (x [B, ...], scale [B]) -> y. No gradient with respect to scale.
package struct ScaleSamples: Op {
  package static let name = "scale_samples"

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard inputs[0].shape.rank >= 1, inputs[1].shape == [inputs[0].shape[0]] else {
      throw mismatch(inputs, "scale is not [B] of x [B, ...]")
    }
    return [inputs[0]]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let count = site.outputs[0].count
    return Launch([
      Dispatch(
        ScaleSamplesKernel.self, constants: .init(INNER: UInt32(count / site.inputs[1].count)),
        push: .init(count: UInt32(count)), [.input(0).texels(.rgba32f), .input(1).texels(.r32f), .output(0)],
        groups: .linear((count + 3) / 4, perGroup: 64))
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    [try pullback.cotangents[0]?.scaledPerSample(by: pullback.inputs[1]), nil]
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (x, scale) = (inputs[0], inputs[1])
    let inner = x.data.count / scale.data.count
    return [HostTensor(x.type, x.data.indices.map { x[$0] * scale[$0 / inner] })]
  }

  package static let cases = [[1], [7], [3, 43], [5, 17, 8], [2, 5, 13]].map { (extents: [Int]) in
    OpCase("\(Shape(extents))", ScaleSamples(), [.init(Shape(extents)), .init([extents[0]], isDifferentiated: false)])
  }
}

extension Value {
  /// [B, ...] times [B].
  package func scaledPerSample(by scale: Value) throws(ShapeError) -> Value {
    try graph.apply(ScaleSamples(), to: [self, scale])[0]
  }
}
