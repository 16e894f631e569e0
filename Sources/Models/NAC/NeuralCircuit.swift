import Graph
import NN
import Ops

/// Sizes of a whole circuit beside its width.
package struct CircuitSettings: Sendable, Hashable {
  package var inputs: Int
  package var mediators: Int
  package var outputs: Int
  package var signature: Int
  /// How often mediators listen to inputs and to each other, each time through weights of their own.
  package var iterations: Int
  /// The cosine distance beyond which mediators do not hear each other.
  package var truncation: Double
  /// Of the relaxed Bernoulli samples that connections are in training.
  package var temperature: Double
  /// How far noise takes codes in training, as a share of each number.
  package var codeNoise: Double

  package init(
    inputs: Int, mediators: Int, outputs: Int, signature: Int = 64, iterations: Int = 8, truncation: Double = 0.9,
    temperature: Double = 0.5, codeNoise: Double = 0.05
  ) {
    self.inputs = inputs
    self.mediators = mediators
    self.outputs = outputs
    self.signature = signature
    self.iterations = iterations
    self.truncation = truncation
    self.temperature = temperature
    self.codeNoise = codeNoise
  }
}

/// A Neural Attentive Circuit (Rahaman et al. 2022): input latents read the image, mediators listen to inputs and to each
/// other where their signatures are near, output latents listen to both and vote on the class.
package struct NeuralCircuit: Sendable {
  package let layout: ParameterLayout
  package let settings: CircuitSettings
  private let tokenizer: NN.ConvNeXtTokenizer
  private let inputs: Latents
  private let mediators: Latents
  private let outputs: Latents
  private let seeder: LatentSeeder
  private let readIn: ReadIn
  private let propagators: [Propagator]
  private let readOut: Propagator
  private let pooling: OutputPooling
  private let width: CircuitWidth

  /// - Parameter head: takes the last projection's parameters, where they are a block of their own.
  package init(
    block: String, width: CircuitWidth, settings: CircuitSettings, images: CircuitImages, classes: Int,
    head: ParameterBuilder? = nil
  ) {
    let builder = ParameterBuilder(block: block)
    let root = builder.root
    let scope = root("latent_graphs")("0")
    tokenizer = NN.ConvNeXtTokenizer(
      root("input_tokenizer"), channels: images.channels, representation: width.state,
      gridFeatures: images.gridFeatures, positions: images.size / 8, normalization: images.normalization)
    inputs = Latents(
      scope("input_latents"), count: settings.inputs, code: width.code, signature: settings.signature)
    mediators = Latents(
      scope("mediator_latents"), count: settings.mediators, code: width.code, signature: settings.signature)
    outputs = Latents(
      scope("output_latents"), count: settings.outputs, code: width.code, signature: settings.signature)
    seeder = LatentSeeder(scope("latent_seeder"), code: width.code, state: width.state)
    readIn = ReadIn(scope("read_in"), width: width, tokens: tokenizer.features, gamma: width.layerScale)
    propagators = (0..<settings.iterations).map { d in
      Propagator(
        scope("propagators")("\(d)"), name: "propagators.\(d)", kind: .propagator, width: width, hasKernel: true)
    }
    readOut = Propagator(scope("read_out"), name: "read_out", kind: .readOut, width: width, hasKernel: true)
    pooling = OutputPooling(
      root("output_tokenizer"), head: head?.root("output_tokenizer"), state: width.state, classes: classes)
    layout = builder.layout
    self.settings = settings
    self.width = width
  }

  /// Where the signatures of a graph prior go.
  package var mediatorSignatures: Parameter { mediators.signatures }

  package struct Outcome {
    package let inputStates: Value  // (B, U_in, state)
    package let mediatorStates: [Value]  // (B, U, state) after each iteration
    package let outputStates: Value  // (B, U_out, state)
    /// What is added to the scores of each iteration: (B, U, V) in training, else (U, V); not normalised.
    package let logAffinities: [Value]
    package let logits: Value  // (B, N)
  }

  /// Image (B, channels, S, S) -> logits, and what led there.
  package func callAsFunction(
    _ image: Value, noise: CircuitNoise, _ forward: Forward
  ) throws(ShapeError) -> Outcome {
    let batch = image.shape[0]
    func codes(_ codes: Value, _ name: String) throws(ShapeError) -> Value {
      guard forward.training, settings.codeNoise > 0 else { return codes }
      return try codes.jittered(noise("\(name)_code_u", codes.shape, .uniform), scale: Float(settings.codeNoise))
    }
    func seeded(_ latents: Latents, _ name: String) throws(ShapeError) -> Value {
      let z = try noise("seed_\(name)_state_z", [batch, latents.count, width.state], .normal)
      return try seeder(codes(forward(latents.codes), "seed_\(name)"), z: z, forward)
    }

    let tokens = try tokenizer(image, forward)
    var inputStates = try seeded(inputs, "input")
    var states = try seeded(mediators, "mediator")
    var outputStates = try seeded(outputs, "output")
    inputStates = try readIn(inputStates, codes: codes(forward(inputs.codes), "readin"), from: tokens, forward)

    let senderCodes = try forward(inputs.codes).concatenated(with: forward(mediators.codes), axis: 0)
    let senderSignatures = try forward(inputs.signatures).concatenated(with: forward(mediators.signatures), axis: 0)
      .unitRows()
    let cosines = try forward(mediators.signatures).unitRows().matmul(senderSignatures, transposing: .right)
    var mediatorStates: [Value] = []
    var logAffinities: [Value] = []
    for (d, propagator) in propagators.enumerated() {
      let receiverCodes = try codes(forward(mediators.codes), "prop\(d)_recv")
      let sentCodes = try codes(senderCodes, "prop\(d)_send")
      var affinities = try affinity(
        cosines, propagator, truncation: Float(settings.truncation), isLogarithm: true, forward)
      if forward.training {
        let u = try noise("prop\(d)_kernel_u", Shape([batch] + affinities.shape.extents), .uniform)
        affinities = try affinities.relaxedBernoulli(u, temperature: Float(settings.temperature))
      }
      let senders = try inputStates.concatenated(with: states, axis: 1)
      states = try propagator(
        states, codes: receiverCodes, from: senders, senderCodes: sentCodes, affinities: affinities, forward)
      mediatorStates.append(states)
      logAffinities.append(affinities)
    }

    let receiverCodes = try codes(forward(outputs.codes), "readout_recv")
    let sentCodes = try codes(senderCodes, "readout_send")
    let outputCosines = try forward(outputs.signatures).unitRows().matmul(senderSignatures, transposing: .right)
    outputStates = try readOut(
      outputStates, codes: receiverCodes, from: inputStates.concatenated(with: states, axis: 1), senderCodes: sentCodes,
      affinities: affinity(
        outputCosines, readOut, truncation: .greatestFiniteMagnitude, isLogarithm: true, forward), forward)
    let logits = try pooling(
      outputStates, noise: noise("output_gumbel", [batch, settings.outputs], .gumbel), forward)
    return Outcome(
      inputStates: inputStates, mediatorStates: mediatorStates, outputStates: outputStates,
      logAffinities: logAffinities, logits: logits)
  }

  private func affinity(
    _ cosines: Value, _ propagator: Propagator, truncation: Float, isLogarithm: Bool, _ forward: Forward
  ) throws(ShapeError) -> Value {
    guard let bandwidth = propagator.bandwidth else { preconditionFailure("a propagator of a circuit has a kernel") }
    return try cosines.affinity(bandwidth: forward(bandwidth), truncation: truncation, isLogarithm: isLogarithm)
  }

  // MARK: Regularisers

  /// Signature hinge repulsion over all latents: rows [inputs + mediators + outputs] that add up to it.
  package func hingeRepulsion(hinge: Double, _ forward: Forward) throws(ShapeError) -> Value {
    let unit = try forward(inputs.signatures).concatenated(with: forward(mediators.signatures), axis: 0)
      .concatenated(with: forward(outputs.signatures), axis: 0).unitRows()
    return try unit.matmul(unit, transposing: .right).hingeRepulsion(hinge: Float(hinge))
  }

  /// The stochastic block model that the mediators' kernels are drawn to.
  package struct BlockTarget: Sendable, Hashable {
    package var blocks: Int
    package var inside: Double
    package var across: Double

    package init(blocks: Int, inside: Double, across: Double) {
      self.blocks = blocks
      self.inside = inside
      self.across = across
    }
  }

  /// The kernel of one iteration among the mediators, (U, U): neither sampled nor normalised.
  package func mediatorKernels(_ forward: Forward) throws(ShapeError) -> [Value] {
    let unit = try forward(mediators.signatures).unitRows()
    let cosines = try unit.matmul(unit, transposing: .right)
    var kernels: [Value] = []
    for propagator in propagators {
      kernels.append(
        try affinity(cosines, propagator, truncation: Float(settings.truncation), isLogarithm: false, forward))
    }
    return kernels
  }

  /// What each row of a kernel gains in each block, [U, blocks]: `assignRows` turns it into the row's block.
  ///
  /// The reference solves this assignment anew in each step. Here it is an input of the plan, u32 [U] for each iteration,
  /// and these gains are results: the host solves it in a few milliseconds between steps, outside of the recorded program.
  package func blockGains(_ kernel: Value, _ target: BlockTarget) throws(ShapeError) -> Value {
    let (count, size) = (kernel.shape[0], kernel.shape[0] / target.blocks)
    let weight = target.inside - target.across
    let members = (0..<count * target.blocks).map { i in i / target.blocks / size == i % target.blocks ? weight : 0 }
    return try kernel.matmul(kernel.graph.constant(HostTensor([count, target.blocks], members)))
  }

  /// Rows [U] that add up to the mean squared distance of a kernel from the block model, with the rows in the given blocks.
  package func blockDistance(_ kernel: Value, block: Value, _ target: BlockTarget) throws(ShapeError) -> Value {
    try kernel.blockModel(
      block, blocks: target.blocks, inside: Float(target.inside), across: Float(target.across))
  }
}
