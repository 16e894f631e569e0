import Graph
import Kernels

/// Minus the sum of the cosine distances d = 1 - cosine that are below the hinge, over all pairs, each once: cosine [U, U]
/// -> [U], what the pairs (r, c < r) add. It pushes near signatures apart, and jumps at the hinge, as the reference's does.
package struct HingeRepulsion: Op {
  package static let name = "hinge_repulsion"
  let hinge: Float

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    let shape = inputs[0].shape
    guard shape.rank == 2, shape[0] == shape[1] else { throw mismatch(inputs, "the cosines are not [U, U]") }
    return [TensorType([shape[0]])]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let count = site.inputs[0].shape[0]
    let cluster = site.traits.cluster
    return Launch([
      Dispatch(
        HingeRepulsionKernel.self, constants: .init(CLUSTER: UInt32(cluster)),
        push: .init(U: UInt32(count), hinge: hinge), [.input(0).texels(.r32f), .output(0)],
        groups: .linear(count * cluster, perGroup: 64))
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    guard let dy = pullback.cotangents[0] else { return [nil] }
    return try dy.graph.apply(HingeRepulsionBackward(hinge: hinge), to: [pullback.inputs[0], dy])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let count = inputs[0].shape[0]
    return [
      HostTensor(
        [count],
        (0..<count).map { r in
          (0..<r).reduce(0) { sum, c in
            let d = 1 - inputs[0][r * count + c]
            return d < Double(hinge) ? sum - d : sum
          }
        })
    ]
  }

  package static let cases = [1, 2, 17, 43].map { n in
    OpCase("\(n)", HingeRepulsion(hinge: 0.4), [.init([n, n], .f32, .uniform(-1, 1))])
  }
}

/// The gradient of `HingeRepulsion`: (cosine [U, U], dy [U]) -> dcosine.
package struct HingeRepulsionBackward: Op {
  package static let name = "hinge_repulsion_backward"
  let hinge: Float

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard try HingeRepulsion(hinge: hinge).infer([inputs[0]])[0] == inputs[1] else {
      throw mismatch(inputs, "dy is not [U] for cosines [U, U]")
    }
    return [inputs[0]]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let count = site.inputs[0].shape[0]
    return Launch([
      Dispatch(
        HingeRepulsionBackwardKernel.self, push: .init(U: UInt32(count), hinge: hinge),
        [.input(0).texels(.rgba32f), .input(1).texels(.r32f), .output(0)],
        groups: .linear((count * count + 3) / 4, perGroup: 64))
    ])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let count = inputs[0].shape[0]
    var dcosine = inputs[0]
    for i in dcosine.data.indices {
      let isNear = i % count < i / count && 1 - inputs[0][i] < Double(hinge)
      dcosine[i] = isNear ? inputs[1][i / count] : 0
    }
    return [dcosine]
  }

  package static let cases = [1, 2, 17, 43].map { n in
    OpCase(
      "\(n)", HingeRepulsionBackward(hinge: 0.4), [.init([n, n], .f32, .uniform(-1, 1)), .init([n])],
      checksGradient: false)
  }
}

extension Value {
  /// Rows [U] that add up to the hinge repulsion of cosines [U, U].
  package func hingeRepulsion(hinge: Float) throws(ShapeError) -> Value {
    try graph.apply(HingeRepulsion(hinge: hinge), to: [self])[0]
  }
}
