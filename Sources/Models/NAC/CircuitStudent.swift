import Graph
import NN
import Ops

/// A module of a circuit as a student between modules of a meta model. One code serves all of its latents; it is drawn
/// once, as are the states that receive, and never trained.
package struct CircuitStudent: Sendable {
  package enum Kind: String, Sendable, Hashable { case readIn, mediator, readOut }

  private enum Body: Sendable {
    case readIn(NN.ConvNeXtTokenizer, ReadIn)
    case mediator(Propagator)
    case readOut(Propagator, OutputPooling)
  }

  package let kind: Kind
  package let layout: ParameterLayout
  private let body: Body
  private let preStitch: Linear?
  private let postStitch: Linear?

  /// - Parameters:
  ///   - stitch: features of the meta model.
  ///   - images: for the read-in; classes: for the read-out.
  package init(
    block: String, kind: Kind, width: CircuitWidth, stitch: Int, images: CircuitImages, classes: Int
  ) {
    let builder = ParameterBuilder(block: block)
    let root = builder.root
    let (into, out) = (1 / Double(stitch).squareRoot(), 1 / Double(width.state).squareRoot())
    preStitch =
      kind == .readIn
      ? nil
      : Linear(
        root("pre_stitch"), from: stitch, to: width.state, weights: .uniform(into), biases: .uniform(into))
    switch kind {
    case .readIn:
      let tokenizer = NN.ConvNeXtTokenizer(
        root("tokenizer"), channels: images.channels, representation: width.state, gridFeatures: images.gridFeatures,
        positions: images.size / 8, normalization: images.normalization)
      // The reference drops the wanted layer scale on its way here, so this one starts at its default.
      body = .readIn(tokenizer, ReadIn(root("read_in"), width: width, tokens: tokenizer.features, gamma: 1e-6))
    case .mediator:
      body = .mediator(Propagator(root, name: "mediator", kind: .propagator, width: width, hasKernel: false))
    case .readOut:
      body = .readOut(
        Propagator(root, name: "read_out", kind: .readOut, width: width, hasKernel: false),
        OutputPooling(root("tokenizer"), state: width.state, classes: classes))
    }
    postStitch =
      kind == .readOut
      ? nil
      : Linear(
        root("post_stitch"), from: width.state, to: stitch, weights: .uniform(out), biases: .uniform(out))
    self.kind = kind
    layout = builder.layout
  }

  /// What a student is given beside its input.
  package struct Latents {
    /// (1, code)
    package let codes: Value
    /// (B, 1, state); nil for a mediator, whose receivers are the tokens it is given.
    package let states: Value?
    /// (B, 1), for the read-out. With one latent it has no effect.
    package let noise: Value?

    package init(codes: Value, states: Value?, noise: Value? = nil) {
      self.codes = codes
      self.states = states
      self.noise = noise
    }
  }

  /// The read-in: image -> (B, 1, stitch). A mediator: (B, T, stitch) -> the same. The read-out: (B, T, stitch) -> logits (B, N).
  package func callAsFunction(_ input: Value, _ latents: Latents, _ forward: Forward) throws(ShapeError) -> Value {
    let x = try preStitch?(input, forward) ?? input
    let codes = latents.codes
    // A mediator has no states of its own.
    let states = latents.states ?? x
    let y: Value
    switch body {
    case .readIn(let tokenizer, let readIn):
      y = try readIn(states, codes: codes, from: tokenizer(x, forward), forward)
    case .mediator(let propagator): y = try propagator(x, codes: codes, from: x, senderCodes: codes, forward)
    case .readOut(let readOut, let pooling):
      let read = try readOut(states, codes: codes, from: x, senderCodes: codes, forward)
      let silence = try forward.graph.fill([read.shape[0], read.shape[1]], with: 0)
      y = try pooling(read, noise: latents.noise ?? silence, forward)
    }
    return try postStitch?(y, forward) ?? y
  }
}
