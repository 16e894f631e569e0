import Models

/// A phase of the pipeline turns a recipe into a task; the trainer runs any task.
package protocol Phase: Sendable {
  var name: PhaseName { get }
  func task(_ recipe: Recipe) -> TrainingTask
}

extension Recipe {
  package func settings(_ phase: PhaseName) -> PhaseSettings {
    guard let settings = phases[phase] else { preconditionFailure("the recipe has no phase \(phase.rawValue)") }
    return settings
  }
}
