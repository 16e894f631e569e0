import Graph
import NN

/// Pre-training of the meta model.
package struct PT: Phase {
  package let name = PhaseName.pt
  package init() {}

  package func task(_ recipe: Recipe) -> TrainingTask {
    let settings = recipe.settings(.pt)
    let meta = recipe.meta(dropPath: settings.dropPath)
    return TrainingTask(
      name: "PT", dataStream: "PT", settings: settings,
      units: [.init(meta.layout, isTrained: true, origin: .fresh(as: "meta"))], images: recipe.task
    ) { (step, record) throws(ShapeError) in
      try record(step.classification(meta(step.images, step.pass("meta", training: true)), trains: "meta"))
    }
  }
}
