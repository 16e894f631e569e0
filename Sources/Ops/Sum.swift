import Graph
import Kernels

/// The sum of all elements: x -> [1].
package struct Sum: Op {
  package static let name = "sum"

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] { [TensorType([1])] }

  package func launch(_ site: LaunchSite) -> Launch {
    let (count, cluster) = (site.inputs[0].count, site.traits.cluster)
    // Vectors per chunk; a second dispatch pays only for large tensors.
    let chunk = 4096
    let chunks = (count + 4 * chunk - 1) / (4 * chunk)
    func pass(_ x: Operand, _ count: Int, chunk: Int, chunks: Int, to y: Operand) -> Dispatch {
      Dispatch(
        SumKernel.self, constants: .init(CLUSTER: UInt32(cluster)),
        push: .init(count: UInt32(count), chunk4: UInt32(chunk)), [x.texels(.rgba32f), y],
        groups: .linear(chunks * cluster, perGroup: 64))
    }
    if chunks == 1 { return Launch([pass(.input(0), count, chunk: chunk, chunks: 1, to: .output(0))]) }
    return Launch(
      scratch: [TensorType([chunks])],
      [
        pass(.input(0), count, chunk: chunk, chunks: chunks, to: .scratch(0)),
        pass(.scratch(0), chunks, chunk: (chunks + 3) / 4 + 1, chunks: 1, to: .output(0)),
      ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    guard let dy = pullback.cotangents[0] else { return [nil] }
    return try dy.graph.apply(Broadcast(shape: pullback.inputs[0].shape), to: [dy])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] { [HostTensor([1], [inputs[0].data.reduce(0, +)])] }

  package static let cases = [1, 7, 129, 1023, 4096, 16384, 16387, 70_001].map { n in
    OpCase("\(n)", Sum(), [.init([n])], checksGradient: n < 2000)
  }
}

extension Value {
  /// The sum of all elements, [1].
  package func sum() throws(ShapeError) -> Value { try graph.apply(Sum(), to: [self])[0] }

  /// One number, [1], repeated.
  package func broadcast(_ shape: Shape) throws(ShapeError) -> Value {
    try graph.apply(Broadcast(shape: shape), to: [self])[0]
  }
}

/// One number repeated: [1] -> shape.
package struct Broadcast: Op {
  package static let name = "broadcast"
  let shape: Shape

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard inputs[0].count == 1 else { throw mismatch(inputs, "x is not one number") }
    return [TensorType(shape)]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let vectors = (shape.count + 3) / 4
    return Launch([
      Dispatch(
        BroadcastKernel.self, push: .init(count4: UInt32(vectors)), [.input(0).texels(.r32f), .output(0)],
        groups: .linear(vectors, perGroup: 64))
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] { [try pullback.cotangents[0]?.sum()] }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    [HostTensor(shape, Array(repeating: inputs[0][0], count: shape.count))]
  }

  package static let cases = [1, 7, 129, 1023].map { n in OpCase("\(n)", Broadcast(shape: [n]), [.init([1])]) }
}
