import GPU
import Graph
import Images
import Models
import NN
import Ops
import Storage

/// A loop over one plan: which models it holds, which of them it trains, and by what losses.
package struct TrainingTask: Sendable {
  /// One model in device memory.
  package struct Unit: Sendable {
    package let layout: ParameterLayout
    package let isTrained: Bool
    package let origin: Origin
    /// The trained block whose checkpoint keeps this one's values too; nil for what has a checkpoint of its own.
    package let keptWith: String?

    package init(_ layout: ParameterLayout, isTrained: Bool, origin: Origin, keptWith: String? = nil) {
      self.layout = layout
      self.isTrained = isTrained
      self.origin = origin
      self.keptWith = keptWith
    }

    /// A model that the task only reads, from the checkpoint of its name.
    static func frozen(_ layout: ParameterLayout, keptWith: String? = nil) -> Unit {
      Unit(layout, isTrained: false, origin: .checkpoint(layout.block), keptWith: keptWith)
    }

    package var block: String { layout.block }
  }

  /// Where a model's values come from when its task begins.
  package enum Origin: Sendable {
    /// Starting values that the initializers do not know.
    package typealias Fill = @Sendable (_ values: inout [Float], _ seed: UInt64) throws(RunError) -> Void

    /// Initialised from the seed, by the random streams of the block named here.
    case fresh(as: String, fill: Fill? = nil)
    /// The checkpoint of this name.
    case checkpoint(String)
    /// Module i from the checkpoint `name.i`; what `part` knows no place for starts afresh.
    case modules(
      String, part: @Sendable (String) -> Classifier.Part?, freshAs: String, fill: Fill? = nil)
  }

  /// Records the losses of a step, one after the other: each one's gradients follow it, before the next one takes memory.
  package typealias Objectives =
    @Sendable (StepGraph, _ record: (Objective) throws(ShapeError) -> Void) throws(ShapeError) -> Void

  /// Names the progress, the metrics and the state file.
  package let name: String
  /// Names the order of the batches: tasks that are compared share it.
  package let dataStream: String
  package private(set) var settings: PhaseSettings
  package let units: [Unit]
  /// The images that it reads.
  package let images: ImageTask
  /// What the host works out before each step; nil for most tasks.
  package var consultation: Consultation?
  /// Training images that the task sees, the first of the balanced order; nil for all.
  package var imageCount: Int?
  /// Which of a recipe's images it learns from.
  package enum Source: Sendable {
    case taught, target, fewShot
  }

  package private(set) var source = Source.taught
  package let objectives: Objectives

  /// The task with another number of micro-batches.
  func with(accumulate: Int) -> TrainingTask {
    var task = self
    task.settings.accumulate = accumulate
    return task
  }

  package var trained: [Unit] { units.filter(\.isTrained) }
  /// Blocks that the task only reads.
  package var frozen: Set<String> { Set(units.filter { !$0.isTrained }.map(\.block)) }

  /// What the state file of this task says it holds.
  var unfinished: String { "unfinished " + trained.map(\.block).joined(separator: " ") }
}

extension TrainingTask {
  /// The images that the task trains on: the same for every seed and for all tasks that see as many.
  package func images(of all: TrainingImages) throws(StorageError) -> ImageDataset {
    let images: ImageDataset
    switch source {
    case .taught: images = all.taught
    case .target: images = all.target
    case .fewShot:
      guard let support = all.support else { throw .invalid("\(name) without the images of few_shot") }
      images = support
    }
    return try imageCount.map { (count) throws(StorageError) in try images.balanced(count, seed: 0) } ?? images
  }

  /// What the recipe says of them.
  package func data(_ recipe: Recipe) -> DataSettings {
    switch source {
    case .taught: recipe.data
    case .target: recipe.target.data
    case .fewShot: recipe.fewShot?.data ?? recipe.data
    }
  }

  /// Before anything is allocated: what the task needs against what the device has.
  /// - Parameter layout: of the task's step.
  func checkMemory(_ layout: PlanLayout, on device: Device) throws(RunError) {
    let models = units.reduce(0) { $0 + ModuleState.bytes($1.layout, isTrained: $1.isTrained) }
    let needed = layout.bytes + models
    let available = device.memoryAvailable
    guard needed <= available else {
      throw RunError(
        "\(name) needs \(mebibytes(needed)) of device memory (\(mebibytes(models)) for models and optimiser), but "
          + "\(device.snapshot.name) has \(mebibytes(available)); use a smaller batch with accumulate")
    }
    if let misfit = layout.misfit { throw RunError("\(name) does not fit \(device.snapshot.name): \(misfit)") }
  }
}

/// What the graph of a training step is built from.
package struct StepGraph {
  package let graph: Graph
  package let images: Value  // (B, channels, S, S) bytes
  package let labels: Value  // (B) class indices, or (B, classes) shares where images are mixed
  package let state: Value
  package let labelSmoothing: Double
  /// Which of the step's micro-batches.
  package let micro: Int

  /// A pass through the graph whose random numbers are named `stream`; those of each micro-batch are its own.
  package func pass(_ stream: String, training: Bool) -> Forward {
    Forward(graph, training: training, state: state, stream: micro == 0 ? stream : "\(stream), part \(micro)")
  }
}

/// A loss and the block of parameters that it trains. All three are per row, divided by the batch: sum them.
package struct Objective {
  package let block: String
  package let loss: Value
  package let base: Value
  package let distillation: Value
  /// What the parameters alone add to a step's loss, [1].
  package var penalty: Value?
}

extension StepGraph {
  /// Cross entropy of `logits`, with label smoothing, as the loss of `block`.
  package func classification(_ logits: Value, trains block: String) throws(ShapeError) -> Objective {
    let rows = try logits.distillationLoss(
      targets: labels, kind: .none, labelSmoothing: Float(labelSmoothing))
    return Objective(block: block, loss: rows.loss, base: rows.base, distillation: rows.kd)
  }
}
