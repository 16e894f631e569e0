import Graph
import NN

/// The student, assembled from its modules, is trained end to end. As a control it starts from scratch, or from modules
/// that had no teacher.
package struct E2E: Phase {
  package enum Start: Sendable, Hashable {
    case modules(String)
    case scratch
  }

  package let name = PhaseName.e2e
  package let block: String
  package let start: Start
  /// Replaces the recipe's settings, for controls of another length.
  package let settings: PhaseSettings?

  package init(block: String = "student", start: Start = .modules("student"), settings: PhaseSettings? = nil) {
    self.block = block
    self.start = start
    self.settings = settings
  }

  package func task(_ recipe: Recipe) -> TrainingTask {
    let settings = settings ?? recipe.settings(.e2e)
    let student = recipe.student.whole(block: block, dropPath: settings.dropPath)
    let origin: TrainingTask.Origin =
      switch start {
      case .modules(let name):
        .modules(name, part: student.model.part, freshAs: "student", fill: student.fill)
      case .scratch: .fresh(as: "student", fill: student.fill)
      }
    let block = block
    return TrainingTask(
      name: block == "student" ? "E2E" : "E2E \(block)", dataStream: "E2E", settings: settings,
      units: [.init(student.model.layout, isTrained: true, origin: origin)], images: recipe.target.task,
      consultation: student.penalty?.consultation, imageCount: recipe.target.data.studentImages, source: .target
    ) { (step, record) throws(ShapeError) in
      let pass = step.pass("student", training: true)
      var objective = try step.classification(student.model.logits(step.images, pass), trains: block)
      // Parameters are the same in all parts of a step.
      if step.micro == 0 { objective.penalty = try student.penalty?.value(pass) }
      try record(objective)
    }
  }
}
