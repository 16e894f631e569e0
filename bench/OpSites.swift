import Graph
import Models
import NN
import Ops

/// What `graft bench ops` measures: every op of a training step at the sizes that it meets there, each once; and those ops
/// that are drawn into others there, as they would run alone.
struct OpSites {
  let cases: [OpCase]

  /// The demo's width and batch; the paper's base model in a batch of 8.
  static func all() throws -> [OpSites] {
    [
      try OpSites(
        "demo", batch: 128, image: (28, 1, 7, 10), TransformerWidth(features: 64, heads: 4), experts: 4),
      try OpSites(
        "base", batch: 8, image: (224, 3, 16, 1000), TransformerWidth(features: 768, heads: 12), experts: 8),
    ]
  }

  /// A step of a model of three blocks, of which the second has experts. The optimiser updates the first block; with all
  /// of them it would be as large as a whole model.
  private init(
    _ name: String, batch: Int, image: (size: Int, channels: Int, patch: Int, classes: Int), _ width: TransformerWidth,
    experts: Int
  ) throws {
    let task = ImageTask(
      size: image.size, channels: image.channels, patch: image.patch, classes: image.classes,
      normalization: .init(
        mean: Array(repeating: 0.5, count: image.channels), std: Array(repeating: 0.5, count: image.channels)))
    let mixture = BlockOptions(experts: .init(count: experts, perToken: 2), dropPath: 0.1)
    let front = VisionTransformer(
      block: "front", task: task, width: width, stages: [[BlockOptions(dropPath: 0.1)]], hasLast: false)
    let back = VisionTransformer(
      block: "back", task: task, width: width, stages: [[mixture, BlockOptions()]], hasFirst: false)

    let graph = Graph()
    let state = StepState.input(in: graph)
    let forward = Forward(graph, training: true, state: state, stream: "bench")
    let images = graph.input("images", [batch, image.channels, image.size, image.size], .u8)
    let labels = graph.input("labels", [batch], .u32)
    let logits = try back(front(images, forward), forward)
    let teacher = graph.input("teacher", logits.shape)
    let loss = try logits.distillationLoss(targets: labels, teacher: teacher, kind: .soft, labelSmoothing: 0.1).loss
    let owners = [front, back].map(\.layout.parameters)
    let gradients = try graph.gradients(of: loss, withRespectTo: owners.flatMap { $0 }.map(graph.parameter))
    let norm = try graph.adamW(
      block: "front", parameters: owners[0], count: front.layout.count,
      gradients: Array(gradients.prefix(owners[0].count)), decays: { $0.shape.rank > 1 }, beta1: 0.9, beta2: 0.999,
      eps: 1e-8, weightDecay: 0.05, maxNorm: 1, state: state)
    let results = [try loss.sum(), norm] + gradients.dropFirst(owners[0].count).compactMap { $0 }

    var cases: [OpCase] = []
    // By name, because some settings, such as the stream of random numbers, make no difference here.
    var known: Set<String> = []
    for isFused in [true, false] {
      let whole = Set(cases.map(\.op.name))
      for node in Program(graph, results: results, fusing: isFused).nodes where !whole.contains(node.op.name) {
        let types = node.inputs.map { graph.types[$0] }
        let opCase = OpCase(node.op, types, named: name)
        guard known.insert("\(node.op.name) \(opCase.name) \(types)").inserted else { continue }
        cases.append(opCase)
      }
    }
    self.cases = cases
  }
}

extension OpCase {
  /// An op on inputs of these types, with contents that make sense to it.
  init(_ op: any Op, _ types: [TensorType], named name: String) {
    let inputs = zip(types, op.fills(types)).map { Input($0.shape, $0.dtype, $1) }
    let label = ([name] + settings(of: op) + types.prefix(2).map(\.description)).joined(separator: " ")
    self.init(label, op, inputs)
  }
}

/// The settings of an op that say more than their absence would, e.g. `right bias gelu` or `heads 12`.
private func settings(of op: Any) -> [String] {
  Mirror(reflecting: op).children.flatMap { child -> [String] in
    let name = child.label ?? ""
    switch child.value {
    case let flag as Bool: return flag ? [name] : []
    case let number as Int: return ["\(name) \(number)"]
    case is Double, is Float, is UInt32, is any Collection: return []
    default:
      let mirror = Mirror(reflecting: child.value)
      guard mirror.displayStyle == .enum else { return settings(of: child.value) }
      let text = "\(child.value)"
      return ["none", "neither"].contains(text) ? [] : [text]
    }
  }
}
