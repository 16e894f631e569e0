import Foundation
import Graph
import Kernels

/// y = exp(factor x), elementwise.
package struct Exponential: Op {
  package static let name = "exponential"
  let factor: Float

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] { [inputs[0]] }

  package func launch(_ site: LaunchSite) -> Launch {
    let vectors = (site.outputs[0].count + 3) / 4
    return Launch([
      Dispatch(
        ExponentialKernel.self, push: .init(count4: UInt32(vectors), factor: factor),
        [.input(0).texels(.rgba32f), .output(0)], vectors: vectors, site.traits)
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    [try pullback.cotangents[0]?.scaledColumns(by: pullback.outputs[0]).scaled(by: factor)]
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] { [inputs[0].map { exp(Double(factor) * $0) }] }

  package static let cases = [1, 7, 129, 504].map { n in OpCase("\(n)", Exponential(factor: 0.5), [.init([n])]) }
}

/// y = x + (2 u - 1) scale |x| with uniform u in [0, 1): noise in proportion to each element, through which no gradient
/// flows: (x, u) -> y.
package struct Jitter: Op {
  package static let name = "jitter"
  let scale: Float

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard inputs[0].count == inputs[1].count else { throw mismatch(inputs, "sizes differ") }
    return [inputs[0]]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let vectors = (site.outputs[0].count + 3) / 4
    return Launch([
      Dispatch(
        JitterKernel.self, push: .init(count4: UInt32(vectors), scale: scale),
        [.input(0).texels(.rgba32f), .input(1).texels(.rgba32f), .output(0)], vectors: vectors, site.traits)
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] { [pullback.cotangents[0], nil] }

  package func fills(_ inputs: [TensorType]) -> [OpCase.Fill] { [.normal(1), .uniform(0, 1)] }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    [
      HostTensor(
        inputs[0].type,
        zip(inputs[0].data, inputs[1].data).map { x, u in x + (2 * u - 1) * Double(scale) * abs(x) })
    ]
  }

  package static let cases = [1, 7, 129, 504].map { n in
    OpCase("\(n)", Jitter(scale: 0.05), [.init([n]), .init([n], .f32, .uniform(0, 1))], checksGradient: false)
  }
}

extension Value {
  /// exp(factor x).
  package func exponential(factor: Float = 1) throws(ShapeError) -> Value {
    try graph.apply(Exponential(factor: factor), to: [self])[0]
  }

  /// x + (2 u - 1) scale |x|, with the gradient of x.
  package func jittered(_ u: Value, scale: Float) throws(ShapeError) -> Value {
    try graph.apply(Jitter(scale: scale), to: [self, u])[0]
  }
}
