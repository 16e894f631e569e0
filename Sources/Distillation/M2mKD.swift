import Graph
import Models
import NN
import Ops

/// Module-to-module knowledge distillation (arXiv 2402.16918, section 3.2): student module i learns inside the frozen meta
/// model, from the labels and from the logits that the teacher's module i gets in the same place.
package struct M2mKD: Phase {
  package let name = PhaseName.m2mKD
  package let pairs: [Int]
  /// Block of the student modules; the control without a teacher has its own.
  package let block: String
  /// Weight of the teacher's term; nil takes the recipe's. At 0 no teacher is computed.
  package let alpha: Double?

  package init(pairs: [Int], block: String = "student", alpha: Double? = nil) {
    self.pairs = pairs
    self.block = block
    self.alpha = alpha
  }

  package func task(_ recipe: Recipe) -> TrainingTask {
    let settings = recipe.settings(.m2mKD)
    let distillation = recipe.distillation
    let alpha = alpha ?? distillation.alpha
    let meta = recipe.meta()
    let teacher = alpha > 0 ? recipe.teacher() : nil
    let modules = pairs.map { recipe.student.module($0, block: block, settings: settings) }
    var units = [TrainingTask.Unit.frozen(meta.layout)]
    if let teacher { units.append(.frozen(teacher.layout)) }
    for (pair, module) in zip(pairs, modules) {
      // Controls begin like the student.
      units.append(.init(module.layout, isTrained: true, origin: .fresh(as: "student.\(pair)")))
      if let latents = module.latents {
        units.append(
          .init(
            latents, isTrained: false, origin: .fresh(as: "student.\(pair).latents"), keptWith: module.layout.block))
      }
    }
    return TrainingTask(
      name: block == "student" ? "m2mKD" : "m2mKD \(block)", dataStream: "m2mKD", settings: settings,
      units: units, images: recipe.task, imageCount: recipe.data.studentImages
    ) { (step, record) throws(ShapeError) in
      var frame = MetaFrame(meta, step)
      for (pair, module) in zip(pairs, modules) {
        let input = try frame.prefix(pair)
        var taught: Value?
        if let teacher {
          let output = try teacher.stages[pair](input, step.pass("teacher.\(pair)", training: false))
          taught = try frame.suffix(after: pair, output)
        }
        let output = try module.output(input, step.pass("student.\(pair)", training: true))
        let rows = try frame.suffix(after: pair, output).distillationLoss(
          targets: step.labels, teacher: taught, kind: taught == nil ? .none : distillation.kind,
          alpha: Float(alpha), tau: Float(distillation.tau), labelSmoothing: Float(step.labelSmoothing))
        try record(Objective(block: module.layout.block, loss: rows.loss, base: rows.base, distillation: rows.kd))
      }
    }
  }
}
