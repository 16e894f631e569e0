import GPU
import Graph
import Models
import NN
import Ops
import Storage

/// A loop over one plan: which models it holds, which of them it trains, and by what losses.
package struct TrainingTask: Sendable {
  /// One model in device memory.
  package struct Unit: Sendable {
    package let model: VisionTransformer
    package let isTrained: Bool
    package let origin: Origin

    package var block: String { model.layout.block }
  }

  /// Where a model's values come from when its task begins.
  package enum Origin: Sendable, Hashable {
    /// Initialised from the seed, by the random streams of the block named here.
    case fresh(as: String)
    /// The checkpoint of this name.
    case checkpoint(String)
    /// Module i from the checkpoint `name.i`.
    case modules(String)
  }

  /// Names the progress, the metrics and the state file.
  package let name: String
  /// Names the order of the batches: tasks that are compared share it.
  package let dataStream: String
  package let settings: PhaseSettings
  package let units: [Unit]
  /// Training images that the task sees, the first of the balanced order; nil for all.
  package var imageCount: Int?
  package let objectives: @Sendable (StepGraph) throws(ShapeError) -> [Objective]

  package var trained: [Unit] { units.filter(\.isTrained) }
  /// Blocks that the task only reads.
  package var frozen: Set<String> { Set(units.filter { !$0.isTrained }.map(\.block)) }

  /// What the state file of this task says it holds.
  var unfinished: String { "unfinished " + trained.map(\.block).joined(separator: " ") }
}

extension TrainingTask {
  /// The images that the task trains on: the same for every seed and for all tasks that see as many.
  package func images(of all: ImageDataset) throws(StorageError) -> ImageDataset {
    guard let imageCount else { return all }
    return try all.balanced(imageCount, seed: 0)
  }

  /// Before anything is allocated: what the task needs against what the device has.
  /// - Parameter layout: of the task's step.
  func checkMemory(_ layout: PlanLayout, on device: Device) throws(RunError) {
    let models = units.reduce(0) { $0 + ModuleState.bytes($1.model.layout, isTrained: $1.isTrained) }
    let needed = layout.bytes + models
    let available = device.memoryAvailable
    guard needed <= available else {
      throw RunError(
        "\(name) needs \(mebibytes(needed)) of device memory (\(mebibytes(models)) for models and optimiser), but "
          + "\(device.snapshot.name) has \(mebibytes(available)); use a smaller batch with accumulate")
    }
  }
}

/// What the graph of a training step is built from.
package struct StepGraph {
  package let graph: Graph
  package let images: Value  // (B, channels, S, S) bytes
  package let labels: Value  // (B) class indices
  package let state: Value
  package let labelSmoothing: Double

  /// A pass through the graph whose random numbers are named `stream`.
  package func pass(_ stream: String, training: Bool) -> Forward {
    Forward(graph, training: training, state: state, stream: stream)
  }
}

/// A loss and the block of parameters that it trains. All three are per row, divided by the batch: sum them.
package struct Objective {
  package let block: String
  package let loss: Value
  package let base: Value
  package let distillation: Value
}

extension StepGraph {
  /// Cross entropy of `logits`, with label smoothing, as the loss of `block`.
  package func classification(_ logits: Value, trains block: String) throws(ShapeError) -> Objective {
    let rows = try logits.distillationLoss(
      targets: labels, kind: .none, labelSmoothing: Float(labelSmoothing))
    return Objective(block: block, loss: rows.loss, base: rows.base, distillation: rows.kd)
  }
}
