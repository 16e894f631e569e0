import Graph
import Kernels

/// A tensor of one repeated number.
package struct Fill: Op {
  package static let name = "fill"
  let shape: Shape
  let value: Float

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] { [TensorType(shape)] }

  package func launch(_ site: LaunchSite) -> Launch {
    let vectors = (shape.count + 3) / 4
    return Launch([
      Dispatch(
        FillKernel.self, constants: .init(), push: .init(count4: UInt32(vectors), value: value), [.output(0)],
        groups: .linear(vectors, perGroup: 64))
    ])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    [HostTensor(shape, Array(repeating: Double(value), count: shape.count))]
  }

  package static let cases = [1, 7, 129, 1023].map { n in
    OpCase("\(n)", Fill(shape: [n], value: 0.5), [], checksGradient: false)
  }
}

extension Graph {
  package func fill(_ shape: Shape, with value: Float) throws(ShapeError) -> Value {
    try apply(Fill(shape: shape, value: value), to: [])[0]
  }
}
