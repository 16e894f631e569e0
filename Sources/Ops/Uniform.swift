import Graph
import Kernels
import Random

/// Uniform numbers in [0, 1): state u32 [8] -> shape. Word 0 of the state is the step, words 4 and 5 are the seed.
///
/// Number i of a step's stream is a function of (seed, step, stream, i) alone, so a resumed run draws what an uninterrupted
/// one does, whatever the device: the upper 24 bits of the first word of Philox4x32-10 at the counter (i, step, stream, 0).
package struct Uniform: Op {
  package static let name = "uniform"
  let shape: Shape
  let stream: UInt32

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard inputs[0] == TensorType([8], .u32) else { throw mismatch(inputs, "the step state is u32[8]") }
    return [TensorType(shape)]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    Launch([
      Dispatch(
        UniformKernel.self, push: .init(count: UInt32(shape.count), stream: stream), [.input(0), .output(0)],
        vectors: (shape.count + 3) / 4, site.traits)
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] { [nil] }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let state = inputs[0].data.map(UInt32.init)
    let numbers = (0..<UInt32(shape.count)).map { i in
      Double(CounterRandom.philox(counter: [i, state[0], stream, 0], key: [state[4], state[5]])[0] >> 8) / 16_777_216
    }
    return [HostTensor(shape, numbers)]
  }

  package static let cases = [1, 7, 129, 1023].map { n in
    OpCase(
      "\(n)", Uniform(shape: [n], stream: 3),
      [.init([8], .u32, .values([41, 0, 0, 0, 4_123_456_789, 99, 0, 0]))], tolerance: 0, checksGradient: false)
  }
}
