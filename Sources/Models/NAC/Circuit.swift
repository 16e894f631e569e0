import Graph
import NN
import Ops

/// What all parts of a Neural Attentive Circuit share (Rahaman et al., "Neural attentive circuits", 2022).
package struct CircuitWidth: Sendable, Hashable {
  package var state: Int
  package var code: Int
  package var heads: Int
  package var headDimension: Int
  /// Hidden features of a feed-forward branch for each feature of a state.
  package var capacity: Double
  /// Where layer scales start, but for those of the tokenizer and the read-in.
  package var layerScale: Double
  package var dropPath: Double

  package init(
    state: Int, code: Int, heads: Int, headDimension: Int, capacity: Double, layerScale: Double = 0.1,
    dropPath: Double = 0
  ) {
    self.state = state
    self.code = code
    self.heads = heads
    self.headDimension = headDimension
    self.capacity = capacity
    self.layerScale = layerScale
    self.dropPath = dropPath
  }
}

/// The images that a circuit reads.
package struct CircuitImages: Sendable, Hashable {
  package var size: Int
  package var channels: Int
  /// Learned features of each of the (size / 8)^2 positions.
  package var gridFeatures: Int
  package var normalization: PatchEmbedding.Normalization

  package init(size: Int, channels: Int, gridFeatures: Int, normalization: PatchEmbedding.Normalization) {
    self.size = size
    self.channels = channels
    self.gridFeatures = gridFeatures
    self.normalization = normalization
  }
}

/// Latents read tokens: attention, then a feed-forward branch.
package struct ReadIn: Sendable {
  private let attention: NN.ReadInAttention
  private let ffn: ModulatedFFN

  /// - Parameter gamma: where the layer scale of the feed-forward branch starts.
  init(_ scope: Scope, width: CircuitWidth, tokens: Int, gamma: Double) {
    attention = NN.ReadInAttention(
      scope("read_in_attention"), state: width.state, codes: width.code, tokens: tokens, heads: width.heads,
      headDimension: width.headDimension)
    ffn = ModulatedFFN(
      scope("ffn"), name: "read_in", state: width.state, codes: width.code, capacity: width.capacity, gamma: gamma)
  }

  /// States (B, U, state), codes (U, code) and tokens (B, V, C) -> (B, U, state).
  func callAsFunction(
    _ states: Value, codes: Value, from tokens: Value, _ forward: Forward
  ) throws(ShapeError) -> Value {
    try ffn(attention(states, codes: codes, from: tokens, forward), codes: codes, forward)
  }
}

/// Latents read latents: attention, then a feed-forward branch. A propagator adds to its receivers' states, the read-out
/// replaces them and normalises its senders by itself.
package struct Propagator: Sendable {
  package enum Kind: Sendable { case propagator, readOut }

  private let attention: LatentAttention
  private let ffn: ModulatedFFN
  /// Width of the kernel of signatures, one number; nil where latents have none.
  let bandwidth: Parameter?

  init(_ scope: Scope, name: String, kind: Kind, width: CircuitWidth, hasKernel: Bool) {
    let dropPath = kind == .propagator ? width.dropPath : 0
    attention = LatentAttention(
      scope("latent_attention"), name: name, state: width.state, codes: width.code, heads: width.heads,
      headDimension: width.headDimension, sharesNorm: kind == .propagator, isResidual: kind == .propagator,
      gamma: width.layerScale, dropPath: dropPath)
    bandwidth =
      hasKernel ? scope("latent_attention")("kernel").parameter("bandwidth", [1], storedAs: [], .ones) : nil
    ffn = ModulatedFFN(
      scope("ffn"), name: name, state: width.state, codes: width.code, capacity: width.capacity,
      gamma: width.layerScale, dropPath: dropPath)
  }

  func callAsFunction(
    _ states: Value, codes: Value, from senders: Value, senderCodes: Value, affinities: Value? = nil,
    _ forward: Forward
  ) throws(ShapeError) -> Value {
    let attended = try attention(
      states, codes: codes, from: senders, senderCodes: senderCodes, affinities: affinities, forward)
    return try ffn(attended, codes: codes, forward)
  }
}
