import Graph
import NN

/// The teacher, assembled from its incubated modules, is tuned as a whole.
package struct FT: Phase {
  package let name = PhaseName.ft
  package init() {}

  package func task(_ recipe: Recipe) -> TrainingTask {
    let settings = recipe.settings(.ft)
    let teacher = recipe.teacher(dropPath: settings.dropPath)
    return TrainingTask(
      name: "FT", dataStream: "FT", settings: settings,
      units: [
        .init(
          teacher.layout, isTrained: true,
          origin: .modules("teacher", part: teacher.classifier.part, freshAs: "teacher"))
      ], images: recipe.task
    ) { (step, record) throws(ShapeError) in
      try record(
        step.classification(teacher(step.images, step.pass("teacher", training: true)), trains: "teacher"))
    }
  }
}
