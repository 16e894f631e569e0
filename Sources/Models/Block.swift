import Graph
import NN
import Ops

/// What distinguishes one transformer block from the next.
package struct BlockOptions: Sendable, Hashable {
  /// Experts in place of the dense MLP.
  package var experts: Experts?
  /// Width of the tokens that come in, where a stitch translates them.
  package var preStitch: Int?
  /// Width of the tokens that go out, where a stitch translates them.
  package var postStitch: Int?
  package var dropPath: Double

  package struct Experts: Sendable, Hashable {
    package var count: Int
    package var perToken: Int
    package var fanIn: ExpertFanIn

    package init(count: Int, perToken: Int, fanIn: ExpertFanIn = .fastmoe) {
      self.count = count
      self.perToken = perToken
      self.fanIn = fanIn
    }
  }

  package init(experts: Experts? = nil, preStitch: Int? = nil, postStitch: Int? = nil, dropPath: Double = 0) {
    self.experts = experts
    self.preStitch = preStitch
    self.postStitch = postStitch
    self.dropPath = dropPath
  }
}

/// Pre-norm transformer block: x += attention(LN x); x += mlp(LN x), with optional stitches around.
struct Block: Sendable {
  enum FeedForward: Sendable {
    case dense(MLP)
    case experts(MixtureOfExperts)
  }

  let name: String
  let preStitch: Stitch?
  let norm1: NN.LayerNorm
  let attention: SelfAttention
  let norm2: NN.LayerNorm
  let feedForward: FeedForward
  let postStitch: Stitch?
  let dropPath: Double

  init(_ scope: Scope, name: String, width: TransformerWidth, options: BlockOptions) {
    let features = width.features
    let hidden = width.mlpRatio * features
    self.name = name
    preStitch = options.preStitch.map {
      Stitch(scope("pre_stitch"), from: $0, to: features, weights: width.linear)
    }
    norm1 = NN.LayerNorm(scope("norm1"), features, eps: width.eps)
    attention = SelfAttention(
      scope("attn"), features: features, heads: width.heads, qkvBias: width.qkvBias, weights: width.linear)
    norm2 = NN.LayerNorm(scope("norm2"), features, eps: width.eps)
    if let experts = options.experts {
      feedForward = .experts(
        MixtureOfExperts(
          scope("moe"), features: features, hidden: hidden, experts: experts.count, k: experts.perToken,
          gate: width.linear, expertFanIn: experts.fanIn))
    } else {
      feedForward = .dense(MLP(scope("mlp"), features: features, hidden: hidden, weights: width.linear))
    }
    postStitch = options.postStitch.map {
      Stitch(scope("post_stitch"), from: features, to: $0, weights: width.linear)
    }
    dropPath = options.dropPath
  }

  func callAsFunction(_ tokens: Value, _ forward: Forward) throws(ShapeError) -> Value {
    var x = try preStitch?(tokens, forward) ?? tokens
    let attended = try attention(norm1(x, forward), forward)
    x = try x + forward.dropPath(attended, rate: dropPath, name: "\(name) attention")
    let normed = try norm2(x, forward)
    let fed: Value
    switch feedForward {
    case .dense(let mlp): fed = try mlp(normed, forward)
    case .experts(let experts): fed = try experts(normed, forward)
    }
    x = try x + forward.dropPath(fed, rate: dropPath, name: "\(name) mlp")
    return try postStitch?(x, forward) ?? x
  }
}
