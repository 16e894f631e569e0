import Graph
import Models
import NN

/// The modular student of a recipe: modules that are taught one by one, and the whole that they make.
package protocol Student: Sendable {
  /// Student module `pair`, with stitches that translate between its width and the meta model's. Its block is `block.pair`.
  func module(_ pair: Int, block: String, settings: PhaseSettings) -> StudentModule
  /// All modules as one model.
  /// - Parameters:
  ///   - classes: nil for those of the recipe.
  ///   - head: takes the parameters of the last projection, where they are a block of their own.
  func whole(block: String, dropPath: Double, classes: Int?, head: ParameterBuilder?) -> WholeStudent
}

extension Student {
  package func whole(block: String, dropPath: Double) -> WholeStudent {
    whole(block: block, dropPath: dropPath, classes: nil, head: nil)
  }
}

/// The student as it is trained end to end and evaluated.
package struct WholeStudent: Sendable {
  package let model: Classifier
  /// Starting values that the layout's initializers do not know.
  package var fill: TrainingTask.Origin.Fill?
  /// What training adds to the loss; nil adds nothing.
  package var penalty: Penalty?
}

/// A student module as the task that teaches it sees it.
package struct StudentModule: Sendable {
  package let layout: ParameterLayout
  /// What is drawn once from the seed, never trained, and stored with the module; nil for none.
  package let latents: ParameterLayout?
  /// What comes out of the meta module before it -> what goes into the one behind it; image and logits at the ends.
  package let output: @Sendable (Value, Forward) throws(ShapeError) -> Value
}

/// A term of the loss that depends on parameters alone.
package struct Penalty: Sendable {
  /// The term, [1], weighted.
  package let value: @Sendable (Forward) throws(ShapeError) -> Value
  /// What the host has to work out for it before each step.
  package var consultation: Consultation?
}

/// What the host works out from a task's parameters, as they are before a step, for inputs of that step.
package struct Consultation: Sendable {
  /// Its results are what the host reads.
  package let results: @Sendable (Forward) throws(ShapeError) -> [Value]
  /// Inputs of the step, by name.
  package let inputs: @Sendable ([[Float]]) -> [String: [UInt32]]
}
