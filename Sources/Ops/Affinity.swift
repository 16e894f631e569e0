import Foundation
import Graph
import Kernels

/// The dot-product kernel of a Neural Attentive Circuit (Rahaman et al. 2022): exp(-d / bandwidth) for the cosine distance
/// d = 1 - cosine of two signatures, 0 where d exceeds the truncation: (cosine [U, V], bandwidth [1]) -> [U, V].
package struct Affinity: Op {
  package static let name = "affinity"
  let truncation: Float
  /// Whether the result is the logarithm; -1e30 stands for that of 0.
  let isLogarithm: Bool

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard inputs[1].count == 1 else { throw mismatch(inputs, "the bandwidth is not one number") }
    return [inputs[0]]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let vectors = (site.outputs[0].count + 3) / 4
    return Launch([
      Dispatch(
        AffinityKernel.self, constants: .init(LOGARITHM: isLogarithm),
        push: .init(count4: UInt32(vectors), truncation: truncation),
        [.input(0).texels(.rgba32f), .input(1).texels(.r32f), .output(0)], groups: .linear(vectors, perGroup: 64))
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    guard let dy = pullback.cotangents[0] else { return [nil, nil] }
    let gradients = try dy.graph.apply(
      AffinityBackward(truncation: truncation, isLogarithm: isLogarithm), to: pullback.inputs + [dy])
    return [gradients[0], pullback.needs[1] ? try gradients[1].sum().reshaped(pullback.inputs[1].shape) : nil]
  }

  package func fills(_ inputs: [TensorType]) -> [OpCase.Fill] { [.uniform(-1, 1), .uniform(0.5, 2)] }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    [
      inputs[0].map { cosine in
        let exponent = -(1 - cosine) / inputs[1][0]
        if 1 - cosine > Double(truncation) { return isLogarithm ? -1e30 : 0 }
        return isLogarithm ? exponent : exp(exponent)
      }
    ]
  }

  static let inputs: [[OpCase.Input]] = [[1, 1], [5, 7], [8, 18], [3, 43]].map { (extents: [Int]) in
    [.init(Shape(extents), .f32, .uniform(-1, 1)), .init([1], .f32, .uniform(0.5, 2))]
  }

  package static let cases =
    inputs.map { OpCase("\($0[0].type)", Affinity(truncation: 0.9, isLogarithm: false), $0) }
    + inputs.map { OpCase("\($0[0].type), logarithm", Affinity(truncation: 3, isLogarithm: true), $0) }
    + inputs.map {
      OpCase(
        "\($0[0].type), truncated logarithm", Affinity(truncation: 0.9, isLogarithm: true), $0, checksGradient: false)
    }
}

/// The gradient of `Affinity`: (cosine, bandwidth, dy) -> dcosine, and what each element adds to that of the bandwidth.
package struct AffinityBackward: Op {
  package static let name = "affinity_backward"
  let truncation: Float
  let isLogarithm: Bool

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard inputs[0] == inputs[2], inputs[1].count == 1 else { throw mismatch(inputs, "dy is not like the cosines") }
    return [inputs[0], inputs[0]]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let vectors = (site.outputs[0].count + 3) / 4
    return Launch([
      Dispatch(
        AffinityBackwardKernel.self, constants: .init(LOGARITHM: isLogarithm),
        push: .init(count4: UInt32(vectors), truncation: truncation),
        [
          .input(0).texels(.rgba32f), .input(1).texels(.r32f), .input(2).texels(.rgba32f), .output(0), .output(1),
        ], groups: .linear(vectors, perGroup: 64))
    ])
  }

  package func fills(_ inputs: [TensorType]) -> [OpCase.Fill] { [.uniform(-1, 1), .uniform(0.5, 2), .normal(1)] }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (cosine, width, dy) = (inputs[0], inputs[1][0], inputs[2])
    var (slope, share) = (cosine, cosine)
    for i in cosine.data.indices {
      let d = 1 - cosine[i]
      slope[i] = d > Double(truncation) ? 0 : dy[i] / width * (isLogarithm ? 1 : exp(-d / width))
      share[i] = slope[i] * d / width
    }
    return [slope, share]
  }

  package static let cases = [false, true].flatMap { isLogarithm in
    Affinity.inputs.map {
      OpCase(
        "\($0[0].type)\(isLogarithm ? ", logarithm" : "")",
        AffinityBackward(truncation: 0.9, isLogarithm: isLogarithm), $0 + [.init($0[0].type.shape)],
        checksGradient: false)
    }
  }
}

extension Value {
  /// Kernel of cosines [U, V], or its logarithm.
  package func affinity(
    bandwidth: Value, truncation: Float, isLogarithm: Bool
  ) throws(ShapeError) -> Value {
    try graph.apply(Affinity(truncation: truncation, isLogarithm: isLogarithm), to: [self, bandwidth])[0]
  }
}
