import GPU
import Graph
import Models
import NN
import Ops

extension Recomputation {
  /// Group 01: a Vision Transformer from and to any block, its losses, and the gradients of the cross entropy.
  mutating func visionTransformer(on device: Device) throws -> [Comparison] {
    let (shape, task) = try file.images()
    let depths = try file.depths(file.description.config?.vitDepths, "config.vit_div")
    let depth = depths.reduce(0, +)
    let model = try file.dense("model", depths, task: task)
    try load(model.layout) { "param." + $0 }
    let pass = forward
    let x = try input("in.x", shape)

    let logits = try expectOutputs(of: model, model.tokens(x, blocks: 0..<depth, pass))
    for end in 1..<max(depth, 1) where file.has("out.prefix_end\(end)") {
      let name = "out.prefix_end\(end)"
      try expect(name, .intermediates, model.tokens(x, blocks: 0..<end, pass))
      let prefix = try input(name, file.shape(name, rank: 3))
      let tokens = try model.tokens(prefix, blocks: end..<depth, pass)
      if let output = try model.stages[depths.count - 1].classify(tokens, pass) {
        try expect("out.suffix_start\(end)", .logits, output.logits)
      }
    }
    let labels = try labels(logits)
    let ce = try logits.distillationLoss(targets: labels, kind: .none).loss
    try expectLoss("out.loss_ce", rows: ce)
    for name in file.tensors.names where name.hasPrefix("out.loss_ls") {
      guard let smoothing = Float(name.dropFirst("out.loss_ls".count)) else { continue }
      try expectLoss(name, rows: logits.distillationLoss(targets: labels, kind: .none, labelSmoothing: smoothing).loss)
    }
    let soft = try input("in.soft_targets", logits.shape)
    try expectLoss("out.loss_soft", rows: logits.distillationLoss(targets: soft, kind: .none).loss)
    _ = try expectGradients("grad.", of: ce, model.layout)
    return try compare(on: device)
  }

  /// The features and logits that the last stage makes of `tokens`.
  mutating func expectOutputs(of model: VisionTransformer, _ tokens: Value) throws -> Value {
    guard let output = try model.stages.last?.classify(tokens, forward) else {
      preconditionFailure("a model without a head")
    }
    try expect("out.features", .intermediates, output.features)
    try expect("out.logits", .logits, output.logits)
    return output.logits
  }
}

extension VisionTransformer {
  /// The reference's `forward(x, start, end)` without the norm and the head that follow the last block: blocks are counted
  /// over all stages, and the image is embedded where the range starts at 0.
  func tokens(_ input: Value, blocks range: Range<Int>, _ forward: Forward) throws(ShapeError) -> Value {
    var x = input
    var first = 0
    for stage in stages {
      let own = range.clamped(to: first..<first + stage.blockCount)
      if !own.isEmpty { x = try stage.tokens(x, blocks: own.lowerBound - first..<own.upperBound - first, forward) }
      first += stage.blockCount
    }
    return x
  }
}
