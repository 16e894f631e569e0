import Graph
import Models
import NN

/// Few-shot adaptation: the trained student is frozen, and a new head learns other classes from a few images of each.
package struct FS: Phase {
  package let name = PhaseName.fs
  /// Block and checkpoint of the adapted student; the checkpoint has the frozen part too.
  package static let block = "few-shot"
  package init() {}

  package func task(_ recipe: Recipe) -> TrainingTask {
    let settings = recipe.settings(.fs)
    guard let few = recipe.fewShot else { preconditionFailure("a recipe with a phase FS has its data") }
    let head = ParameterBuilder(block: FS.block)
    // What was said of drop path and noise in training holds for the frozen part as well, as published.
    let student = recipe.student.whole(
      block: "student", dropPath: settings.dropPath, classes: few.ways, head: head)
    return TrainingTask(
      name: "FS", dataStream: "FS", settings: settings,
      units: [
        .frozen(student.model.layout, keptWith: FS.block),
        .init(head.layout, isTrained: true, origin: .fresh(as: FS.block)),
      ], images: recipe.images(of: FS.block), source: .fewShot
    ) { (step, record) throws(ShapeError) in
      let logits = try student.model.logits(step.images, step.pass("student", training: true))
      try record(step.classification(logits, trains: FS.block))
    }
  }
}

/// The data of few-shot adaptation.
package struct FewShotSettings: Sendable {
  package let data: DataSettings
  /// Classes to tell apart, drawn from the set's.
  package let ways: Int
  /// Images of each to learn from.
  package let shots: Int

  init(_ reader: RecipeReader) throws(RecipeError) {
    data = try reader.section("data", DataSettings.init)
    ways = try reader.int("ways", in: 2...65_536)
    shots = try reader.int("shots", in: 1...65_536)
    if let classes = data.kind.classes, ways > classes {
      throw reader.error("ways", "\(ways) classes, but \(data.kind.rawValue) has \(classes)")
    }
  }
}
