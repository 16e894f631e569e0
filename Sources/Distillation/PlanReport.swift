import Foundation
import GPU
import Graph
import Models
import NN
import Ops

/// What a recipe will take, worked out without training: parameters, operations, memory, time.
package struct PlanReport: Sendable {
  package struct Model: Sendable {
    package let block: String
    package let parameters: Int
  }

  package struct Task: Sendable {
    package let name: String
    package let steps: Int
    package let images: Int
    package let trained: Int
    package let dispatches: Int
    /// Floating-point operations of one step.
    package let flops: Int
    /// Device memory: activations and scratch, models and optimiser.
    package let arenaBytes: Int
    package let modelBytes: Int
    package let seconds: Double?
  }

  package let models: [Model]
  package let tasks: [Task]

  /// - Parameter rate: matmul operations per second of the device, nil where it is not known.
  package init(
    _ recipe: Recipe, traits: DeviceTraits, choices: Choices = .defaults, rate: Double?
  ) throws(RunError) {
    let pairs = Array(0..<recipe.pairs)
    let layouts =
      [recipe.meta().layout, recipe.teacher().layout] + pairs.map { recipe.teacherModule($0).layout }
      + [recipe.student.whole(block: "student", dropPath: 0).model.layout]
      + pairs.map { recipe.student.module($0, block: "student", settings: recipe.settings(.m2mKD)).layout }
    models = layouts.map { Model(block: $0.block, parameters: $0.elements) }
    let phases = recipe.allPhases(pairs: pairs)
    var tasks: [Task] = []
    for phase in phases {
      let task = phase.task(recipe)
      let parts = task.settings.accumulate
      // Each micro-batch after the second adds what the third adds, and no memory, so three are enough to reckon with.
      func layout(_ parts: Int) throws(RunError) -> PlanLayout {
        let task = task.with(accumulate: parts)
        let step = try attempt(task.name) { () throws(ShapeError) in try StepProgram(task, recipe: recipe) }
        return PlanLayout(step.program, traits: traits, choices: choices, frozen: task.frozen)
      }
      let largest = try layout(min(parts, 3))
      var (flops, dispatches) = (largest.cost.flops, largest.dispatchCount)
      if parts > 3 {
        let two = try layout(2)
        flops += (parts - 3) * (flops - two.cost.flops)
        dispatches += (parts - 3) * (dispatches - two.dispatchCount)
      }
      tasks.append(
        Task(
          name: task.name, steps: task.settings.steps, images: task.settings.batch * task.settings.accumulate,
          trained: task.trained.reduce(0) { $0 + $1.layout.elements }, dispatches: dispatches,
          flops: flops, arenaBytes: largest.bytes,
          modelBytes: task.units.reduce(0) { $0 + ModuleState.bytes($1.layout, isTrained: $1.isTrained) },
          seconds: rate.map { Double(task.settings.steps) * Double(flops) / ($0 * PlanReport.fractionOfMatmulRate) }))
    }
    self.tasks = tasks
  }

  /// What a whole step reaches of the matmul rate (docs/performance.md).
  private static let fractionOfMatmulRate = 0.6

  package var text: String {
    var lines = ["models"]
    for model in models {
      lines.append("  \(pad(model.block, 12)) \(count(model.parameters)) parameters")
    }
    lines.append("tasks")
    for task in tasks {
      let time = task.seconds.map { ", about " + duration($0) } ?? ""
      lines.append(
        "  \(pad(task.name, 6)) \(task.steps) steps of \(task.images) images, \(count(task.trained)) trained parameters, "
          + "\(count(task.flops)) FLOPs and \(task.dispatches) dispatches a step, memory \(mebibytes(task.arenaBytes)) + "
          + "\(mebibytes(task.modelBytes)) for models\(time)")
    }
    if let total = tasks.reduce(Optional(0.0), { sum, task in sum.flatMap { s in task.seconds.map { s + $0 } } }) {
      lines.append("together about \(duration(total)) on this device, without controls and evaluations")
    }
    return lines.joined(separator: "\n")
  }

  private func pad(_ text: String, _ width: Int) -> String {
    text.padding(toLength: width, withPad: " ", startingAt: 0)
  }

  private func count(_ n: Int) -> String {
    for (unit, name) in [(1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")] where Double(n) >= unit {
      return String(format: "%.3g %@", Double(n) / unit, name as NSString)
    }
    return "\(n)"
  }

  private func duration(_ seconds: Double) -> String {
    switch seconds {
    case ..<120: String(format: "%.0f s", seconds)
    case ..<7200: String(format: "%.0f min", seconds / 60)
    case ..<172_800: String(format: "%.1f h", seconds / 3600)
    case ..<63_072_000: String(format: "%.0f days", seconds / 86_400)
    default: String(format: "%.0f years", seconds / 31_536_000)
    }
  }
}

extension Device {
  /// Operations per second of a 512 x 512 x 512 matmul: the best of a few, within about a third of a second.
  package func matmulRate() throws(RunError) -> Double {
    try attempt { () throws(any Error) in
      let graph = Graph()
      let a = graph.input("a", [512, 512])
      let program = Program(graph, results: [try a.matmul(graph.input("b", [512, 512]), transposing: .right).sum()])
      let layout = PlanLayout(program, traits: traits)
      let plan = try Plan(layout, on: self, blocks: [:])
      try plan.run().ticket.wait()
      var best = Double.infinity
      for _ in 0..<8 {
        let begin = ContinuousClock.now
        try plan.run().ticket.wait()
        best = min(best, begin.seconds)
      }
      return Double(layout.cost.flops) / best
    }
  }
}
