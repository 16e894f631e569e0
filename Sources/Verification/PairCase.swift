import GPU
import Graph
import Models
import NN
import Ops

extension Recomputation {
  /// What all pairs share: the whole meta model and the whole teacher.
  mutating func pairFrame(on device: Device) throws -> [Comparison] {
    let (shape, _) = try file.images()
    let x = try input("in.x", shape)
    let meta = try dense("meta", from: file)
    try expect("out.meta_logits", .logits, meta(x, forward))
    let teacher = try dense("teacher", from: file)
    try expect("out.teacher_full_logits", .logits, teacher(x, forward))
    return try compare(on: device)
  }

  /// Group 03: a student module and the teacher's module in the same place of the meta model, with the gradients of the
  /// losses with and without distillation. Meta model, teacher and inputs are in the set's `03_common`.
  mutating func pair(on device: Device) throws -> [Comparison] {
    let frame = try pairFrame(from: file.sibling("03_common"))
    let depth = try file.size(\.studentDepth, "s_depth")
    var options: [BlockOptions] = []
    for j in 0..<depth {
      options.append(
        BlockOptions(
          experts: try file.experts(j, of: file.description.config?.moePositions),
          preStitch: try file.stitch("pre_stitch", "stages.0.blocks.\(j)"),
          postStitch: try file.stitch("post_stitch", "stages.0.blocks.\(j)")))
    }
    let student = VisionTransformer(
      block: "student", task: frame.task, width: try file.studentWidth(), stages: [options],
      hasFirst: frame.place == 0, hasLast: frame.isLast)
    try load(student.layout) { "param." + $0 }

    let h = try enter(frame)
    let output = try student(h, forward)
    try expectGates([options])
    try expect("mid.student_module_output", frame.isLast ? .logits : .intermediates, output)
    try expectPair(frame, input: h, output: output, student: student.layout)
    return try compare(on: device)
  }

  /// Meta model, teacher and the place of a student among them.
  struct PairFrame {
    let common: ReferenceCase
    let images: Shape
    let task: ImageTask
    let meta: VisionTransformer
    let teacher: VisionTransformer
    let place: Int
    /// The teacher's stage of that place.
    let taught: Int

    var isLast: Bool { place == meta.stages.count - 1 }
  }

  /// - Parameter common: holds meta model, teacher and inputs.
  mutating func pairFrame(from common: ReferenceCase) throws(VerificationError) -> PairFrame {
    let (shape, task) = try common.images()
    let meta = try dense("meta", from: common)
    let teacher = try dense("teacher", from: common)
    let idx = try file.need(file.description.idx, "idx")
    let place = idx == -1 ? meta.stages.count - 1 : idx
    guard meta.stages.indices.contains(place) else {
      throw file.unusable("idx is \(idx) of \(meta.stages.count) stages")
    }
    let taught = try file.need(file.description.teacherStage, "teacher_stage")
    guard teacher.stages.indices.contains(taught) else { throw file.unusable("teacher_stage is \(taught)") }
    return PairFrame(
      common: common, images: shape, task: task, meta: meta, teacher: teacher, place: place, taught: taught)
  }

  /// What the student is given: the images, or what the meta model makes of them before its place.
  mutating func enter(_ frame: PairFrame) throws -> Value {
    var h = try input("in.x", frame.images, from: frame.common)
    for stage in frame.meta.stages[..<frame.place] { h = try stage(h, forward) }
    if frame.place > 0 { try expect("mid.meta_output", .intermediates, h) }
    return h
  }

  /// What comes of the student's output: logits, losses, gradients.
  mutating func expectPair(_ frame: PairFrame, input h: Value, output: Value, student: ParameterLayout) throws {
    let studentLogits = try suffix(of: frame.meta, after: frame.place, output)
    try expect("out.student_logits", .logits, studentLogits)
    let teacherLogits = try suffix(
      of: frame.meta, after: frame.place, frame.teacher.stages[frame.taught](h, forward))
    try expect("out.teacher_logits", .logits, teacherLogits)

    let targets = try input("in.soft_targets", studentLogits.shape, from: frame.common)
    let alpha = Float(try file.config(\.alpha, "alpha"))
    let tau = Float(try file.config(\.tau, "tau"))
    for (name, kind) in [("soft", DistillationLoss.Kind.soft), ("hard", .hard), ("none", .none)] {
      let isGiven = file.tensors.names.contains { $0 == "out.loss_\(name)" || $0.hasPrefix("grad_\(name).") }
      guard isGiven || name != "none" else { continue }
      let rows = try studentLogits.distillationLoss(
        targets: targets, teacher: teacherLogits, kind: kind, alpha: alpha, tau: tau)
      try expectLoss("out.loss_\(name)", rows: rows.loss)
      if kind == .soft { try expectLoss("out.base_loss", rows: rows.base) }
      if kind == .soft || file.tensors.names.contains(where: { $0.hasPrefix("grad_\(name).") }) {
        _ = try expectGradients("grad_\(name).", of: rows.loss, student)
      }
    }
  }

  /// The meta model or the teacher, from the tensors `meta.stageS.…` or `teacher.stageS.…`.
  mutating func dense(
    _ block: String, from common: ReferenceCase
  ) throws(VerificationError) -> VisionTransformer {
    let config = common.description.config
    let depths =
      block == "meta"
      ? try common.depths(config?.metaDepths, "config.meta_div")
      : try common.depths(config?.teacherDepths, "config.teacher_div")
    let model = try common.dense(block, depths, task: try common.images().task)
    try load(model.layout, from: common) { name in
      name.hasPrefix("stages.") ? "\(block).stage\(name.dropFirst("stages.".count))" : "\(block).stage0.\(name)"
    }
    return model
  }

  private func suffix(of meta: VisionTransformer, after place: Int, _ output: Value) throws(ShapeError) -> Value {
    var x = output
    for stage in meta.stages[(place + 1)...] { x = try stage(x, forward) }
    return x
  }
}
