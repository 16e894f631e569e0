import GPU
import Graph
import Models
import NN
import Ops

extension Recomputation {
  /// Group 02: a step of modular training. All modules are the meta model's but one, which alone is updated; the modules
  /// after it get gradients too.
  ///
  /// AdamW's first step is about lr g / (|g| + eps): its sign is not determined where g is zero but for rounding. Each
  /// parameter may therefore be off by as much as its step changes within the tolerance of its gradient.
  mutating func modularTraining(on device: Device) throws -> [Comparison] {
    let description = file.description
    let (shape, task) = try file.images()
    let depths = try file.depths(description.dividedDepths, "divided_depths")
    let idx = try file.need(description.idx, "idx")
    guard depths.indices.contains(idx) else { throw file.unusable("idx is \(idx) of \(depths.count) stages") }
    let model = try file.dense("model", depths, task: task)
    try load(model.layout) { "param." + $0 }
    addMoments(of: model.layout)

    let logits = try model(input("in.x", shape), forward)
    try expect("out.logits", .logits, logits)
    let targets = try input("in.soft_targets", logits.shape)
    let loss = try logits.distillationLoss(targets: targets, kind: .none).loss
    try expectLoss("out.loss", rows: loss)
    let gradients = try expectGradients("grad.", of: loss, model.layout) { stage(of: $0) < idx }

    let optimizer = try CaseOptimizer(
      file, groups: file.need(description.stageGroups, "optimizer_groups_stage_names"))
    feed(StepState.inputName, optimizer.state(step: 1, lr: optimizer.lr))
    let trained = model.layout.parameters.filter { stage(of: $0.name) == idx }
    let own = zip(model.layout.parameters, gradients).map { stage(of: $0.name) == idx ? $1 : nil }
    let norm = try optimizer.step(graph, model.layout, gradients: own) { local($0, in: idx) }
    let execution = try execution(on: device, extra: [norm])
    var comparisons = try compare(execution)

    let after = try execution.contents(of: model.layout.block)
    for part in trained.flatMap(\.parts) {
      let name = "after_step.stage.\(local(part.name, in: idx))"
      let slack = optimizer.firstStepSlack(gradient: try file.values("grad." + part.name, part.shape))
      comparisons.append(
        Comparison(
          .parameters, name, expected: try file.values(name, part.shape), actual: Array(after[part.range]), slack: slack
        ))
      touch(name)
    }
    return comparisons
  }
}

/// The stage that a parameter belongs to; class token and positions are the first one's.
private func stage(of name: String) -> Int {
  let parts = name.split(separator: ".")
  return parts.count > 1 && parts[0] == "stages" ? Int(parts[1]) ?? 0 : 0
}

/// The name of a parameter within its stage.
private func local(_ name: String, in stage: Int) -> String {
  let prefix = "stages.\(stage)."
  return name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : name
}
