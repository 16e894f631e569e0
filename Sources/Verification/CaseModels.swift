import Graph
import Models
import NN
import Ops

/// Models of the sizes that a case's JSON gives.
extension ReferenceCase {
  /// Images f32 [B, channels, S, S], and the task they make with the configured patches and classes.
  func images() throws(VerificationError) -> (shape: Shape, task: ImageTask) {
    let shape = try shape("in.x", rank: 4)
    let (size, patch) = (try size(\.img, "img"), try size(\.patch, "patch"))
    guard shape[2] == size, shape[3] == size, size % patch == 0 else {
      throw unusable("images \(shape) do not fit config.img \(size) in patches of \(patch)")
    }
    let task = ImageTask(
      size: size, channels: shape[1], patch: patch, classes: try self.size(\.classes, "classes"),
      normalization: .init(mean: [], std: []))
    return (shape, task)
  }

  /// Width of a dense model: meta, teacher.
  func width() throws(VerificationError) -> TransformerWidth {
    let settings = description.config?.vit
    return try width(
      features: size(\.embed, "embed"), heads: size(\.heads, "heads"), qkvBias: settings?.qkvBias ?? true,
      eps: settings?.eps ?? 1e-6)
  }

  /// Width of a model with experts, which always has biases for queries, keys and values, and eps 1e-6.
  func studentWidth() throws(VerificationError) -> TransformerWidth {
    try width(
      features: size(\.studentEmbed, "s_embed"), heads: size(\.studentHeads, "s_heads"), qkvBias: true, eps: 1e-6)
  }

  private func width(
    features: Int, heads: Int, qkvBias: Bool, eps: Double
  ) throws(VerificationError) -> TransformerWidth {
    guard features % heads == 0 else { throw unusable("\(features) features are not divisible by \(heads) heads") }
    let ratio = description.config?.vit?.mlpRatio ?? 4
    guard 1...64 ~= ratio else { throw unusable("config.vit_kw.mlp_ratio is \(ratio), must be 1 to 64") }
    return TransformerWidth(features: features, heads: heads, mlpRatio: ratio, qkvBias: qkvBias, eps: eps)
  }

  /// Blocks of each stage.
  func depths(_ depths: [Int]?, _ key: String) throws(VerificationError) -> [Int] {
    let depths = try need(depths, key)
    guard 1...1024 ~= depths.count, depths.allSatisfy({ 1...1024 ~= $0 }) else {
      throw unusable("\(key) is \(depths.prefix(8)), must be 1 to 1024 blocks each")
    }
    return depths
  }

  func dense(_ block: String, _ depths: [Int], task: ImageTask) throws(VerificationError) -> VisionTransformer {
    VisionTransformer(
      block: block, task: task, width: try width(), stages: depths.map { Array(repeating: BlockOptions(), count: $0) })
  }

  /// Experts of a block, if `position` is among `positions`.
  func experts(_ position: Int, of positions: [Int]?) throws(VerificationError) -> BlockOptions.Experts? {
    guard let positions, positions.contains(position) else { return nil }
    let experts = BlockOptions.Experts(count: try size(\.experts, "experts"), perToken: description.config?.topK ?? 2)
    guard 1...experts.count ~= experts.perToken else {
      throw unusable("\(experts.perToken) of \(experts.count) experts per token")
    }
    return experts
  }

  /// Width on the far side of a stitch: what comes into `pre_stitch`, what goes out of `post_stitch`.
  func stitch(_ kind: String, _ block: String) throws(VerificationError) -> Int? {
    let prefix = "param.\(block).\(kind)."
    guard tensors.names.contains(where: { $0.hasPrefix(prefix) }) else { return nil }
    return try kind == "pre_stitch" ? shape(prefix + "ln.weight", rank: 1)[0] : shape(prefix + "fc.weight", rank: 2)[0]
  }
}

extension Recomputation {
  /// What the gates of a model with experts did. The gates of `graph` must be those of `model`, in the order of its blocks.
  mutating func expectGates(_ options: [[BlockOptions]]) throws(VerificationError) {
    var gates = graph.nodes.filter { $0.op is TopKGate }[...]
    for (s, blocks) in options.enumerated() {
      for (j, _) in blocks.enumerated().filter({ $1.experts != nil }) {
        guard let gate = gates.popFirst() else { preconditionFailure("a block with experts without a gate") }
        let place = "stages.\(s).blocks.\(j).moe.gate"
        let (logits, scores) = (graph.value(gate.inputs[0]), graph.value(gate.outputs[0]))
        try expect("mid.gate_logits.\(place)", .intermediates, logits, as: [logits.shape.rows, logits.shape.last])
        try expect("mid.gate_topk_score.\(place)", .intermediates, scores)
        try expect("mid.gate_topk_idx.\(place)", .indices, graph.value(gate.outputs[1]))
      }
    }
  }
}
