import Foundation
import Graph
import Kernels

/// Logarithms of relaxed Bernoulli samples (Maddison et al., "The concrete distribution", 2017) of probabilities
/// exp(log_p): (log_p [N...], u [B, N...]) -> [B, N...], log sigmoid((logit u + logit p) / temperature), u being uniform.
///
/// Probabilities, u and samples are kept within the float32 eps of 0 and 1, as torch does; nothing flows back through one
/// that was not inside. No gradient with respect to u.
package struct RelaxedBernoulli: Op {
  package static let name = "relaxed_bernoulli"
  let temperature: Float

  static let eps = 0x1p-23

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    let (p, u) = (inputs[0].shape, inputs[1].shape)
    guard u.rank == p.rank + 1, Array(u.extents.dropFirst()) == p.extents, u[0] <= 65_535 else {
      throw mismatch(inputs, "u is not [B, N...] for probabilities [N...]")
    }
    return [inputs[1]]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let count = site.inputs[0].count
    let vectors = (site.outputs[0].count + 3) / 4
    return Launch([
      Dispatch(
        RelaxedBernoulliKernel.self, constants: .init(N: UInt32(count)),
        push: .init(count4: UInt32(vectors), temperature: temperature),
        [.input(0).texels(rowsOf: count), .input(1).texels(.rgba32f), .output(0)],
        vectors: vectors, site.traits)
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    guard pullback.needs[0], let dy = pullback.cotangents[0] else { return [nil, nil] }
    return [
      try dy.graph.apply(RelaxedBernoulliBackward(temperature: temperature), to: pullback.inputs + [dy])[0], nil,
    ]
  }

  package func fills(_ inputs: [TensorType]) -> [OpCase.Fill] { [.uniform(-3, -0.1), .uniform(0.01, 0.99)] }

  static func clipped(_ p: Double) -> Double { min(max(p, eps), 1 - eps) }

  func z(_ p: Double, _ u: Double) -> Double {
    func logit(_ x: Double) -> Double { log(x) - log1p(-x) }
    return (logit(Self.clipped(u)) + logit(Self.clipped(p))) / Double(temperature)
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (logP, u) = (inputs[0], inputs[1])
    var y = u
    for i in u.data.indices {
      let sample = 1 / (1 + exp(-z(exp(logP[i % logP.data.count]), u[i])))
      y[i] = log(min(max(sample, Double(Float.leastNormalMagnitude)), 1 - Self.eps))
    }
    return [y]
  }

  static let inputs: [[OpCase.Input]] = [[1, 1, 1], [3, 5, 7], [2, 4, 8], [3, 8, 24]].map { (extents: [Int]) in
    [
      .init(Shape(Array(extents.dropFirst())), .f32, .uniform(-3, -0.1)),
      .init(Shape(extents), .f32, .uniform(0.01, 0.99), isDifferentiated: false),
    ]
  }

  package static let cases =
    inputs.map { OpCase("\($0[1].type)", RelaxedBernoulli(temperature: 0.5), $0) } + [
      OpCase(
        "clipped", RelaxedBernoulli(temperature: 0.5),
        [
          .init([4], .f32, .values([0, -1e30, -40, -0.5])),
          .init([2, 4], .f32, .values([0, 0, 1, 1, 0.5, 0.5, 0.5, 0])),
        ], checksGradient: false)
    ]
}

/// The gradient of `RelaxedBernoulli` with respect to log_p: (log_p, u, dy) -> dlog_p.
package struct RelaxedBernoulliBackward: Op {
  package static let name = "relaxed_bernoulli_backward"
  let temperature: Float

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard try RelaxedBernoulli(temperature: temperature).infer(Array(inputs.prefix(2)))[0] == inputs[2] else {
      throw mismatch(inputs, "dy is not like u")
    }
    return [inputs[0]]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let count = site.inputs[0].count
    return Launch([
      Dispatch(
        RelaxedBernoulliBackwardKernel.self, constants: .init(N: UInt32(count)),
        push: .init(batch: UInt32(site.inputs[1].count / count), temperature: temperature),
        (0..<3).map { .input($0).texels(rowsOf: count) } + [.output(0)],
        groups: .linear((count + 3) / 4, perGroup: 64))
    ])
  }

  package func fills(_ inputs: [TensorType]) -> [OpCase.Fill] {
    [.uniform(-3, -0.1), .uniform(0.01, 0.99), .normal(1)]
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (logP, u, dy) = (inputs[0], inputs[1], inputs[2])
    let forward = RelaxedBernoulli(temperature: temperature)
    var dlogP = logP.map { _ in 0 }
    for i in u.data.indices {
      let p = exp(logP[i % logP.data.count])
      let complement = 1 / (1 + exp(forward.z(p, u[i])))
      guard RelaxedBernoulli.clipped(p) == p, complement >= RelaxedBernoulli.eps else { continue }
      dlogP[i % logP.data.count] += dy[i] * complement / (Double(temperature) * (1 - p))
    }
    return [dlogP]
  }

  package static let cases =
    RelaxedBernoulli.inputs.map {
      OpCase(
        "\($0[1].type)", RelaxedBernoulliBackward(temperature: 0.5), $0 + [.init($0[1].type.shape)],
        checksGradient: false)
    } + [
      OpCase(
        "clipped", RelaxedBernoulliBackward(temperature: 0.5),
        [
          .init([4], .f32, .values([0, -1e30, -40, -0.5])),
          .init([2, 4], .f32, .values([0, 0, 1, 0.9999, 0.5, 0.5, 0.5, 0.1])), .init([2, 4]),
        ], checksGradient: false)
    ]
}

extension Value {
  /// Log-samples [B, N...] of log-probabilities [N...] with uniform numbers [B, N...].
  package func relaxedBernoulli(_ u: Value, temperature: Float) throws(ShapeError) -> Value {
    try graph.apply(RelaxedBernoulli(temperature: temperature), to: [self, u])[0]
  }
}
