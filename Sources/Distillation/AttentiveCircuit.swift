import Graph
import Models
import NN
import Ops
import Priors

/// A Neural Attentive Circuit as a recipe's student: module 0 is its read-in, the last its read-out, and each module between
/// is one of the mediators' propagators.
package struct AttentiveCircuit: Student {
  /// What keeps latents apart, or near where the prior wants them, in end-to-end training.
  package enum Regularizer: Sendable, Hashable {
    case none
    /// Repels latents that are nearer than `hinge`.
    case hinge(Double, weight: Double)
    /// Draws the mediators' kernels to a stochastic block model.
    case blockModel(NeuralCircuit.BlockTarget, weight: Double)
  }

  /// The graph that the mediators start as.
  package struct Prior: Sendable, Hashable {
    package let graph: GraphPrior
    /// The cosine distance at which signatures realise it. The reference's 0.8 is not the kernel's.
    package let truncation: Double
    /// Steps of fitting the signatures.
    package let steps: Int
  }

  package let width: CircuitWidth
  package let settings: CircuitSettings
  /// nil leaves the mediators' signatures as they are drawn.
  package let prior: Prior?
  package let regularizer: Regularizer
  package let gridFeatures: Int
  /// Features of the meta model.
  package let stitch: Int
  /// The images that the modules are taught on, and those that the whole circuit is trained on.
  package let taught: ImageTask
  package let target: ImageTask

  private func images(_ task: ImageTask) -> CircuitImages {
    CircuitImages(
      size: task.size, channels: task.channels, gridFeatures: gridFeatures, normalization: task.normalization)
  }

  private func width(dropPath: Double) -> CircuitWidth {
    var width = width
    width.dropPath = dropPath
    return width
  }

  package func module(_ pair: Int, block: String, settings phase: PhaseSettings) -> StudentModule {
    let kind: CircuitStudent.Kind = pair == 0 ? .readIn : pair == settings.iterations + 1 ? .readOut : .mediator
    let student = CircuitStudent(
      block: "\(block).\(pair)", kind: kind, width: width(dropPath: phase.dropPath), stitch: stitch,
      images: images(taught), classes: taught.classes)
    // One code for all latents and a state for each row of a batch.
    let builder = ParameterBuilder(block: "\(block).\(pair).latents")
    let codes = builder.root.parameter("codes", [1, width.code], .normal(1))
    let states =
      kind == .mediator ? nil : builder.root.parameter("states", [phase.batch, 1, width.state], .normal(1))
    return StudentModule(layout: student.layout, latents: builder.layout) { (input, forward) throws(ShapeError) in
      try student(
        input, CircuitStudent.Latents(codes: forward(codes), states: states.map { forward($0) }), forward)
    }
  }

  package func whole(
    block: String, dropPath: Double, classes: Int?, head: ParameterBuilder?
  ) -> WholeStudent {
    let circuit = NeuralCircuit(
      block: block, width: width(dropPath: dropPath), settings: settings, images: images(target),
      classes: classes ?? target.classes, head: head)
    let (keepsGrid, keepsPooling) = (taught.size == target.size, taught.classes == target.classes)
    let model = Classifier(layout: circuit.layout) {
      circuit.part(of: $0, keepsGrid: keepsGrid, keepsPooling: keepsPooling)
    } logits: { (images, forward) throws(ShapeError) in
      try circuit(images, noise: CircuitNoise(forward), forward).logits
    }
    return WholeStudent(model: model, fill: signatures(of: circuit), penalty: penalty(of: circuit))
  }

  /// The prior's graph, and signatures fitted to it.
  /// - Throws: where the prior does not fit the number of mediators.
  package func fitted(_ prior: Prior, seed: UInt64) throws(PriorError) -> FittedPrior {
    try FittedPrior(
      prior.graph, latents: settings.mediators, dimension: settings.signature, truncation: prior.truncation,
      steps: prior.steps, seed: seed)
  }

  private func signatures(of circuit: NeuralCircuit) -> TrainingTask.Origin.Fill? {
    guard let prior else { return nil }
    return { (values, seed) throws(RunError) in
      let fitted = try attempt { () throws(PriorError) -> FittedPrior in try self.fitted(prior, seed: seed) }
      let place = circuit.mediatorSignatures
      values.replaceSubrange(place.offset..<place.offset + place.shape.count, with: fitted.signatures.values)
    }
  }

  private func penalty(of circuit: NeuralCircuit) -> Penalty? {
    switch regularizer {
    case .none: return nil
    case .hinge(let hinge, let weight):
      return Penalty { (forward) throws(ShapeError) in
        try circuit.hingeRepulsion(hinge: hinge, forward).sum().scaled(by: Float(weight))
      }
    case .blockModel(let target, let weight):
      let consultation = Consultation { (forward) throws(ShapeError) in
        var gains: [Value] = []
        for kernel in try circuit.mediatorKernels(forward) { gains.append(try circuit.blockGains(kernel, target)) }
        return gains
      } inputs: { gains in
        Dictionary(
          uniqueKeysWithValues: gains.enumerated().map { d, gains in
            let blocks = assignRows(gains: gains.map(Double.init), clusters: target.blocks)
            return (AttentiveCircuit.blocks(d), blocks.map { UInt32($0) })
          })
      }
      let value: @Sendable (Forward) throws(ShapeError) -> Value = { (forward) throws(ShapeError) in
        var total: Value?
        for (d, kernel) in try circuit.mediatorKernels(forward).enumerated() {
          let blocks = forward.graph.input(AttentiveCircuit.blocks(d), [settings.mediators], .u32)
          let term = try circuit.blockDistance(kernel, block: blocks, target).sum()
          total = try total.map { (sum) throws(ShapeError) in try sum + term } ?? term
        }
        guard let total else { preconditionFailure("a circuit has propagators") }
        return try total.scaled(by: Float(weight))
      }
      return Penalty(value: value, consultation: consultation)
    }
  }

  /// The input that holds the block of each mediator in iteration `d`.
  private static func blocks(_ d: Int) -> String { "blocks.\(d)" }
}
