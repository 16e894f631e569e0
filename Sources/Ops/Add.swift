import Graph
import Kernels

/// y = a + b, elementwise.
package struct Add: TokenWise {
  package static let name = "add"

  package func tokenInputs(_ inputs: [TensorType]) -> [Int]? { [0, 1] }

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard inputs[0] == inputs[1] else { throw mismatch(inputs, "shapes differ") }
    return [inputs[0]]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let vectors = (site.outputs[0].count + 3) / 4
    return Launch([
      Dispatch(
        AddKernel.self, push: .init(count4: UInt32(vectors)),
        [.input(0).texels(.rgba32f), .input(1).texels(.rgba32f), .output(0)], vectors: vectors, site.traits)
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    [pullback.cotangents[0], pullback.cotangents[0]]
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    [HostTensor(inputs[0].type, zip(inputs[0].data, inputs[1].data).map(+))]
  }

  package static let cases = [1, 7, 129, 1016, 1023].map { n in OpCase("\(n)", Add(), [.init([n]), .init([n])]) }
}

extension Value {
  package static func + (a: Value, b: Value) throws(ShapeError) -> Value { try a.graph.apply(Add(), to: [a, b])[0] }
}
