import GPU
import Graph
import Images
import Models
import NN
import Ops
import Storage

/// How well a model does on a set: the mean over all of its images.
package struct Evaluation: Sendable, Hashable {
  package let images: Int
  /// Fractions of 1.
  package let top1: Double
  package let top5: Double
  /// Mean cross entropy with the labels, without smoothing.
  package let loss: Double
}

/// Runs a model over a data set without gradients. The last batch is filled up with rows that do not count.
///
/// Circuits draw noise in evaluation too. It is drawn for the rows of a batch from the seed, the same for every batch, so
/// that an evaluation repeats; published code draws anew.
package struct Evaluator {
  /// Images of a batch: fewer where they are large, for memory, and because a product has an end to its rows.
  static func batch(_ task: ImageTask) -> Int { task.size <= 64 ? 250 : 50 }
  /// A label no class has: such a row adds nothing to loss or hits.
  private static let padding = UInt32.max

  private let plan: Plan
  private let task: ImageTask
  private let seed: UInt64

  package init(
    _ model: Classifier, values: [Float], task: ImageTask, seed: UInt64, device: Device, choices: Choices = .defaults
  ) throws(RunError) {
    self.task = task
    self.seed = seed
    plan = try attempt { () throws(any Error) in
      let state = try ModuleState(model.layout, values: values, isTrained: false, device: device)
      let layout = PlanLayout(
        try Evaluator.program(model, task), traits: device.traits, choices: choices, frozen: [model.layout.block])
      return try Plan(layout, on: device, blocks: state.blocks)
    }
  }

  /// Counts [3] as `Accuracy` has them, and the sum of the losses, of one batch.
  static func program(_ model: Classifier, _ task: ImageTask) throws(ShapeError) -> Program {
    let graph = Graph()
    let batch = batch(task)
    let images = graph.input("images", [batch, task.channels, task.size, task.size], .u8)
    let labels = graph.input("labels", [batch], .u32)
    let pass = Forward(graph, training: false, state: StepState.input(in: graph), stream: "evaluation")
    let logits = try model.logits(images, pass)
    let loss = try logits.distillationLoss(targets: labels, kind: .none)
    return Program(graph, results: [try logits.accuracy(labels: labels), try loss.loss.sum()])
  }

  package func run(over data: ImageDataset) throws(RunError) -> Evaluation {
    let size = Evaluator.batch(task)
    var hits = (top1: 0.0, top5: 0.0, rows: 0.0, loss: 0.0)
    var pending: [Plan.Run] = []
    func collect(downTo count: Int) throws(VulkanError) {
      while pending.count > count {
        let run = pending.removeFirst()
        let counts = try run.floats(0)
        hits.top1 += Double(counts[0])
        hits.top5 += Double(counts[1])
        hits.rows += Double(counts[2])
        hits.loss += Double(try run.floats(1)[0]) * Double(size)
      }
    }
    try attempt("evaluation") { () throws(any Error) in
      for start in stride(from: 0, to: data.count, by: size) {
        let indices = (start..<start + size).map { min($0, data.count - 1) }
        let batch = try data.batch(indices)
        let labels = batch.labels.enumerated().map { start + $0 < data.count ? $1 : Evaluator.padding }
        pending.append(
          try plan.run { feed in
            feed.set("images", batch.images[...])
            feed.set("labels", labels[...])
            feed.set(
              StepState.inputName, StepState(step: 1, learningRate: 0, seed: seed).words(beta1: 0, beta2: 0)[...])
          })
        try collect(downTo: 2)
      }
      try collect(downTo: 0)
    }
    return Evaluation(
      images: Int(hits.rows), top1: hits.top1 / hits.rows, top5: hits.top5 / hits.rows, loss: hits.loss / hits.rows)
  }
}
