import Graph
import NN
import Ops

/// What all blocks of a transformer share.
package struct TransformerWidth: Sendable, Hashable {
  package var features: Int
  package var heads: Int
  package var mlpRatio: Int
  package var qkvBias: Bool
  package var eps: Double
  package var linear: Initializer

  package init(
    features: Int, heads: Int, mlpRatio: Int = 4, qkvBias: Bool = true, eps: Double = 1e-6,
    linear: Initializer = .normal(0.02)
  ) {
    self.features = features
    self.heads = heads
    self.mlpRatio = mlpRatio
    self.qkvBias = qkvBias
    self.eps = eps
    self.linear = linear
  }
}

/// The images a model sees and the classes it tells apart.
package struct ImageTask: Sendable, Hashable {
  package var size: Int
  package var channels: Int
  package var patch: Int
  package var classes: Int
  package var normalization: PatchEmbedding.Normalization

  package init(size: Int, channels: Int, patch: Int, classes: Int, normalization: PatchEmbedding.Normalization) {
    self.size = size
    self.channels = channels
    self.patch = patch
    self.classes = classes
    self.normalization = normalization
  }

  /// Patches and the class token.
  package var tokens: Int { (size / patch) * (size / patch) + 1 }
}

/// A module of a divided Vision Transformer (ViT, Dosovitskiy et al. 2021; division as in Deep Incubation, Ni et al. 2022): the first one embeds
/// the image, the last one has the final norm and the head. Modules with experts make it a Vision-MoE.
package struct Stage: Sendable {
  let embedding: PatchEmbedding?
  let blocks: [Block]
  let norm: NN.LayerNorm?
  let head: Linear?

  package var blockCount: Int { blocks.count }

  /// - Parameters:
  ///   - scope: for the names of a stage: `patch_embed.…`, `blocks.J.…`, `norm.…`, `head.…`.
  ///   - root: for `cls_token` and `pos_embed`, which the reference keeps at the model.
  ///   - headScope: for the head, where it is not the stage's own.
  package init(
    _ scope: Scope, root: Scope, task: ImageTask, width: TransformerWidth, blocks options: [BlockOptions],
    isFirst: Bool, isLast: Bool, head headScope: Scope? = nil
  ) {
    embedding =
      isFirst
      ? PatchEmbedding(
        scope, root: root, imageSize: task.size, channels: task.channels, patch: task.patch, features: width.features,
        normalization: task.normalization) : nil
    blocks = options.enumerated().map { j, options in
      Block(scope("blocks.\(j)"), name: "blocks.\(j)", width: width, options: options)
    }
    norm = isLast ? NN.LayerNorm(scope("norm"), width.features, eps: width.eps) : nil
    head =
      isLast ? Linear((headScope ?? scope)("head"), from: width.features, to: task.classes, weights: width.linear) : nil
  }

  /// Image (B, channels, S, S) or tokens (B, T, C) -> tokens, or logits (B, N) from the last stage.
  package func callAsFunction(_ input: Value, _ forward: Forward) throws(ShapeError) -> Value {
    let x = try tokens(input, blocks: 0..<blockCount, forward)
    return try classify(x, forward)?.logits ?? x
  }

  /// Image or tokens -> tokens after the blocks of `range`; the first stage embeds where the range starts at 0.
  package func tokens(_ input: Value, blocks range: Range<Int>, _ forward: Forward) throws(ShapeError) -> Value {
    var x = range.lowerBound == 0 ? try embedding?(input, forward) ?? input : input
    for block in blocks[range] { x = try block(x, forward) }
    return x
  }

  /// Tokens (B, T, C) -> what the head reads (B, C) and the logits (B, N); nil unless this is the last stage.
  package func classify(
    _ tokens: Value, _ forward: Forward
  ) throws(ShapeError) -> (features: Value, logits: Value)? {
    guard let norm, let head else { return nil }
    // Norm is row by row, so the class token is taken first: the other tokens' norms would never be used.
    let features = try norm(tokens.classToken(), forward)
    return (features, try head(features, forward))
  }
}

/// A model as the chain of its stages.
package struct VisionTransformer: Sendable {
  package let stages: [Stage]
  package let layout: ParameterLayout

  /// - Parameters:
  ///   - block: name of the parameter block.
  ///   - stages: options of every block of every stage (the divided depths are the counts).
  ///   - head: takes the head's parameters, where they are a block of their own.
  ///   - ends: which ends of the whole model these stages hold: a module of a larger model lacks one or both.
  package init(
    block: String, task: ImageTask, width: TransformerWidth, stages options: [[BlockOptions]],
    head: ParameterBuilder? = nil, hasFirst: Bool = true, hasLast: Bool = true
  ) {
    let builder = ParameterBuilder(block: block)
    stages = options.enumerated().map { i, blocks in
      Stage(
        builder.root("stages.\(i)"), root: builder.root, task: task, width: width, blocks: blocks,
        isFirst: hasFirst && i == 0, isLast: hasLast && i == options.count - 1,
        head: head?.root("stages.\(i)"))
    }
    layout = builder.layout
  }

  package func callAsFunction(_ input: Value, _ forward: Forward) throws(ShapeError) -> Value {
    var x = input
    for (i, stage) in stages.enumerated() {
      x = try stage(
        x, Forward(forward.graph, training: forward.training, state: forward.state, stream: "\(forward.stream).\(i)"))
    }
    return x
  }
}
