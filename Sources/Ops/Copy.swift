import Graph
import Kernels

/// y = x.
package struct Copy: Op {
  package static let name = "copy"

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] { [inputs[0]] }

  package func launch(_ site: LaunchSite) -> Launch {
    let vectors = (site.outputs[0].count + 3) / 4
    return Launch([
      Dispatch(
        CopyKernel.self, push: .init(count4: UInt32(vectors)), [.input(0).texels(.rgba32f), .output(0)],
        vectors: vectors, site.traits)
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] { [pullback.cotangents[0]] }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    [inputs[0]]
  }

  package static let cases = [1, 7, 129, 1016, 1023].map { n in OpCase("\(n)", Copy(), [.init([n])]) }
}

extension Value {
  package func copied() throws(ShapeError) -> Value { try graph.apply(Copy(), to: [self])[0] }
}
