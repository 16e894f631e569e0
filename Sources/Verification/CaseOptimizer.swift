import Graph
import NN
import Ops

/// The optimiser that a case's JSON describes.
struct CaseOptimizer {
  let lr: Double
  private let beta1: Double
  private let beta2: Double
  private let eps: Double
  private let maxNorm: Double?
  private let weightDecay: Double
  /// Whether a parameter decays, by the name the groups use.
  private let decays: [String: Bool]
  private let file: ReferenceCase

  /// - Throws: if the groups name different rates other than 0: an optimiser has one.
  init(_ file: ReferenceCase, groups: [CaseDescription.OptimizerGroup]) throws(VerificationError) {
    let description = file.description
    let rates = Set(groups.map(\.weightDecay)).subtracting([0])
    guard rates.count <= 1 else { throw file.unusable("groups with different weight decays \(rates.sorted())") }
    let betas = description.betas ?? [0.9, 0.999]  // what the JSON of group 02 says in words
    guard betas.count == 2, betas.allSatisfy({ 0..<1 ~= $0 }) else { throw file.unusable("betas are \(betas)") }
    lr = try file.need(description.lr, "lr")
    (beta1, beta2) = (betas[0], betas[1])
    eps = description.eps ?? 1e-8
    maxNorm = description.clipMax
    weightDecay = rates.first ?? 0
    decays = groups.reduce(into: [:]) { decays, group in
      for name in group.names { decays[name] = group.weightDecay != 0 }
    }
    self.file = file
  }

  func state(step: Int, lr: Double) -> HostTensor {
    let words = StepState(step: step, learningRate: lr, seed: 0).words(beta1: beta1, beta2: beta2)
    return HostTensor(TensorType([8], .u32), words.map(Double.init))
  }

  /// Updates the parameters of `layout` that the groups hold under the name `grouped` gives.
  /// - Parameter gradients: by parameter of the layout; nil leaves it alone.
  /// - Returns: the norm of the gradients.
  func step(
    _ graph: Graph, _ layout: ParameterLayout, gradients: [Value?], grouped: (String) -> String
  ) throws -> Value {
    let updated = zip(layout.parameters, gradients).filter { $0.1 != nil }
    for (parameter, _) in updated where decays[grouped(parameter.name)] == nil {
      throw file.unusable("no optimiser group holds \(grouped(parameter.name))")
    }
    return try graph.adamW(
      block: layout.block, parameters: updated.map(\.0), count: layout.count, gradients: updated.map(\.1),
      decays: { decays[grouped($0.name)] ?? false }, beta1: beta1, beta2: beta2, eps: eps, weightDecay: weightDecay,
      maxNorm: maxNorm, state: StepState.input(in: graph))
  }

  /// How far the first step moves each element when its gradient g moves within the tolerance of its tensor: the step is
  /// lr g / (|g| + eps), whose sign hangs on rounding where g is next to zero.
  func firstStepSlack(gradient: [Double]) -> [Double] {
    let tolerance = Quantity.gradients.tolerance * gradient.reduce(Quantity.smallestScale) { max($0, abs($1)) }
    func step(_ g: Double) -> Double { lr * g / (abs(g) + eps) }
    return gradient.map { step($0 + tolerance) - step($0 - tolerance) }
  }
}
