import GPU
import Graph
import Models
import NN
import Ops

extension Recomputation {
  /// Group 04: a whole Vision-MoE, with and without stitches, and its gradients. An expert without tokens has gradient 0.
  mutating func visionMoE(on device: Device) throws -> [Comparison] {
    let (shape, task) = try file.images()
    let description = file.description
    let depths = try file.depths(description.config?.fullDepths, "config.full_div")
    var options: [[BlockOptions]] = []
    var position = 0
    for (s, depth) in depths.enumerated() {
      var stage: [BlockOptions] = []
      for j in 0..<depth {
        let block = "stages.\(s).blocks.\(j)"
        stage.append(
          BlockOptions(
            experts: try file.experts(position, of: description.config?.fullMoEPositions),
            preStitch: try stitch("pre_stitch", block, position, of: description.preStitchPositions),
            postStitch: try stitch("post_stitch", block, position, of: description.postStitchPositions)))
        position += 1
      }
      options.append(stage)
    }
    let model = VisionTransformer(block: "model", task: task, width: try file.studentWidth(), stages: options)
    try load(model.layout) { "param." + $0 }

    let tokens = try model.tokens(input("in.x", shape), blocks: 0..<position, forward)
    if file.tensors.names.contains(where: { $0.hasPrefix("mid.gate") }) { try expectGates(options) }
    let logits = try expectOutputs(of: model, tokens)
    let loss: Value
    switch try file.need(description.lossKind, "loss_kind") {
    case "soft_target":
      let targets = try input("in.soft_targets", logits.shape)
      loss = try logits.distillationLoss(targets: targets, kind: .none).loss
    case "label_smoothing":
      loss = try logits.distillationLoss(
        targets: labels(logits), kind: .none, labelSmoothing: Float(description.smoothing ?? 0.1)
      ).loss
    case "ce":
      loss = try logits.distillationLoss(targets: labels(logits), kind: .none).loss
    case let kind:
      throw file.unusable("loss_kind is \(kind); soft_target, label_smoothing and ce are known")
    }
    try expectLoss("out.loss", rows: loss)
    _ = try expectGradients("grad.", of: loss, model.layout)
    return try compare(on: device)
  }

  private func stitch(
    _ kind: String, _ block: String, _ position: Int, of positions: [Int]?
  ) throws(VerificationError) -> Int? {
    guard let positions, positions.contains(position) else { return nil }
    guard let width = try file.stitch(kind, block) else {
      throw file.unusable("\(file.tensors.path) has no tensor param.\(block).\(kind).…")
    }
    return width
  }
}
