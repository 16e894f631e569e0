import Foundation
import Graph
import Kernels
import Random

/// Normal or Gumbel numbers, state u32 [8] -> shape, addressed as those of `Uniform` are.
package struct Noise: Op {
  package enum Distribution: Sendable { case uniform, normal, gumbel }

  package static let name = "noise"
  let isGumbel: Bool
  let shape: Shape
  let stream: UInt32

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard inputs[0] == TensorType([8], .u32) else { throw mismatch(inputs, "the step state is u32[8]") }
    return [TensorType(shape)]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    Launch([
      Dispatch(
        NoiseKernel.self, constants: .init(GUMBEL: isGumbel), push: .init(count: UInt32(shape.count), stream: stream),
        [.input(0), .output(0)], vectors: (shape.count + 3) / 4, site.traits)
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] { [nil] }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let state = inputs[0].data.map(UInt32.init)
    let numbers = (0..<UInt32(shape.count)).map { i -> Double in
      let bits = CounterRandom.philox(counter: [i, state[0], stream, 0], key: [state[4], state[5]])
      if isGumbel { return -log(-log((Double(bits[0] >> 9) + 0.5) / 8_388_608)) }
      let u = Double((bits[0] >> 8) + 1) / 16_777_216
      return (-2 * log(u)).squareRoot() * cos(2 * Double.pi * Double(bits[1] >> 8) / 16_777_216)
    }
    return [HostTensor(shape, numbers)]
  }

  package static let cases = [false, true].flatMap { isGumbel in
    [1, 7, 1023].map { n in
      OpCase(
        "\(n)\(isGumbel ? " of Gumbel" : "")", Noise(isGumbel: isGumbel, shape: [n], stream: 3),
        [.init([8], .u32, .values([41, 0, 0, 0, 4_123_456_789, 99, 0, 0]))], tolerance: 2e-5, checksGradient: false)
    }
  }
}

extension Graph {
  /// Random numbers, new ones in each step; `state` is the step state, u32 [8].
  package func noise(
    _ distribution: Noise.Distribution, _ shape: Shape, stream: UInt32, state: Value
  ) throws(ShapeError) -> Value {
    switch distribution {
    case .uniform: try apply(Uniform(shape: shape, stream: stream), to: [state])[0]
    case .normal, .gumbel:
      try apply(Noise(isGumbel: distribution == .gumbel, shape: shape, stream: stream), to: [state])[0]
    }
  }
}
