/// A line of metrics.jsonl.
package struct MetricsRow: Codable, Sendable {
  package enum Event: String, Codable, Sendable { case step, task, evaluation }

  package var event: Event
  package var task: String
  package var block: String
  package var step: Int
  package var learningRate: Double?
  package var loss: Double?
  package var base: Double?
  package var distillation: Double?
  package var gradientNorm: Double?
  package var top1: Double?
  package var top5: Double?
  /// Images an evaluation saw, or a task trained on.
  package var images: Int?
  /// Wall time of a task, without the time before a resumption.
  package var seconds: Double?
  /// Processor time of the training thread per step: everything the host does but wait.
  package var hostMilliseconds: Double?
  package var split: String?
  /// What was done to the images of an evaluation, and how much of it.
  package var corruption: String?
  package var severity: Int?

  package init(event: Event, task: String, block: String, step: Int) {
    self.event = event
    self.task = task
    self.block = block
    self.step = step
  }

  init(_ evaluation: Evaluation, on split: String, task: String, block: String, step: Int) {
    self.init(event: .evaluation, task: task, block: block, step: step)
    self.split = split
    loss = evaluation.loss
    top1 = evaluation.top1
    top5 = evaluation.top5
    images = evaluation.images
  }
}

/// Is told how a run goes; the command line shows it.
package protocol Reporter: Sendable {
  func begin(task: String, steps: Int, from step: Int, parameters: Int)
  func step(_ rows: [MetricsRow], of steps: Int, imagesPerSecond: Double)
  func end(task: String, row: MetricsRow)
  func evaluated(_ row: MetricsRow)
  func note(_ text: String)
}
