import Foundation
import Graph
import Kernels

/// y = x Phi(x), Phi the normal distribution function: the exact GELU (Hendrycks & Gimpel 2016), not the tanh form.
package struct Gelu: TokenWise {
  package static let name = "gelu"

  package func tokenInputs(_ inputs: [TensorType]) -> [Int]? { [0] }

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] { [inputs[0]] }

  package func launch(_ site: LaunchSite) -> Launch {
    let vectors = (site.outputs[0].count + 3) / 4
    return Launch([
      Dispatch(
        GeluKernel.self, push: .init(count4: UInt32(vectors)), [.input(0).texels(.rgba32f), .output(0)],
        vectors: vectors, site.traits)
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    guard let dy = pullback.cotangents[0] else { return [nil] }
    return try pullback.inputs[0].graph.apply(GeluBackward(), to: [pullback.inputs[0], dy])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    [inputs[0].map { 0.5 * $0 * (1 + erf($0 / 2.0.squareRoot())) }]
  }

  package static let cases =
    [1, 7, 129, 1016, 1023].map { n in OpCase("\(n)", Gelu(), [.init([n], .f32, .normal(2))]) }
    + [
      OpCase("from -10 to 10", Gelu(), [fine], tolerance: 1e-7, checksGradient: false),
      OpCase("far", Gelu(), [far], checksGradient: false),
    ]

  /// The polynomials' range and beyond (`include/gelu.glsl`), and where they overflow.
  fileprivate static let fine = OpCase.Input([5121], .f32, .values((-2560...2560).map { Double($0) / 256 }))
  fileprivate static let far = OpCase.Input([8], .f32, .values([-1e30, -1e6, -1000, -50, 50, 1000, 1e6, 1e7]))
}

/// dx = dy gelu'(x), gelu'(x) = Phi(x) + x phi(x): (x, dy) -> dx.
package struct GeluBackward: Op {
  package static let name = "gelu_backward"

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard inputs[0] == inputs[1] else { throw mismatch(inputs, "shapes differ") }
    return [inputs[0]]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let vectors = (site.outputs[0].count + 3) / 4
    return Launch([
      Dispatch(
        GeluBackwardKernel.self, push: .init(count4: UInt32(vectors)),
        [.input(0).texels(.rgba32f), .input(1).texels(.rgba32f), .output(0)], vectors: vectors, site.traits)
    ])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let derivative = inputs[0].map { x in
      0.5 * (1 + erf(x / 2.0.squareRoot())) + x * exp(-x * x / 2) / (2 * Double.pi).squareRoot()
    }
    return [HostTensor(inputs[0].type, zip(derivative.data, inputs[1].data).map(*))]
  }

  package static let cases =
    [1, 7, 129, 1016, 1023].map { n in
      OpCase("\(n)", GeluBackward(), [.init([n], .f32, .normal(2)), .init([n])], checksGradient: false)
    }
    + [("from -10 to 10", Gelu.fine, 1e-6), ("far", Gelu.far, 1e-5)].map { name, x, tolerance in
      let ones = OpCase.Input(x.type.shape, .f32, .values(Array(repeating: 1, count: x.type.count)))
      return OpCase(name, GeluBackward(), [x, ones], tolerance: tolerance, checksGradient: false)
    }
}

extension Value {
  package func gelu() throws(ShapeError) -> Value { try graph.apply(Gelu(), to: [self])[0] }
}
