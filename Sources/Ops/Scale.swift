import Graph
import Kernels

/// y = factor x.
package struct Scale: Op {
  package static let name = "scale"
  let factor: Float

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] { [inputs[0]] }

  package func launch(_ site: LaunchSite) -> Launch {
    let vectors = (site.outputs[0].count + 3) / 4
    return Launch([
      Dispatch(
        ScaleKernel.self, push: .init(count4: UInt32(vectors), factor: factor),
        [.input(0).texels(.rgba32f), .output(0)], vectors: vectors, site.traits)
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    [try pullback.cotangents[0]?.scaled(by: factor)]
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    [inputs[0].map { Double(factor) * $0 }]
  }

  package static let cases = [1, 7, 129, 1016, 1023].map { n in OpCase("\(n)", Scale(factor: -1.75), [.init([n])]) }
}

extension Value {
  package func scaled(by factor: Float) throws(ShapeError) -> Value {
    try graph.apply(Scale(factor: factor), to: [self])[0]
  }
}
