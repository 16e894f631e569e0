import GPU
import Graph
import NN
import Ops

/// A task's training step as a program: forward, gradients, clipping and the optimiser for every objective.
package struct StepProgram: Sendable {
  package let program: Program
  /// The same, op by op, for finding where a number went wrong.
  package let unfused: Program
  /// The trained block of each objective. Its results are `resultsPerObjective` scalars: loss, base, distillation, norm.
  package let blocks: [String]

  package static let resultsPerObjective = 4

  package static func images(_ micro: Int) -> String { "images.\(micro)" }
  package static func labels(_ micro: Int) -> String { "labels.\(micro)" }

  /// Micro-batches are unrolled in one graph: each one's gradients add to the last one's, and since a backward pass ends
  /// before the next forward begins, they share memory.
  package init(_ task: TrainingTask, recipe: Recipe) throws(ShapeError) {
    let graph = Graph()
    let settings = task.settings
    let state = StepState.input(in: graph)
    let image = task.images
    let mixes = task.data(recipe).augmentation?.mixes ?? false
    var gradients: [String: [Value?]] = [:]
    var sums: [String: [Value]] = [:]
    var blocks: [String] = []
    for micro in 0..<settings.accumulate {
      let step = StepGraph(
        graph: graph,
        images: graph.input(
          StepProgram.images(micro), [settings.batch, image.channels, image.size, image.size], .u8),
        labels: mixes
          ? graph.input(StepProgram.labels(micro), [settings.batch, image.classes])
          : graph.input(StepProgram.labels(micro), [settings.batch], .u32), state: state,
        labelSmoothing: recipe.labelSmoothing, micro: micro)
      try task.objectives(step) { (objective) throws(ShapeError) in
        if micro == 0 { blocks.append(objective.block) }
        let parameters = StepProgram.layout(objective.block, task).parameters.map(graph.parameter)
        var share =
          settings.accumulate == 1 ? objective.loss : try objective.loss.scaled(by: 1 / Float(settings.accumulate))
        if let penalty = objective.penalty { share = try share.sum() + penalty }
        let new = try graph.gradients(of: share, withRespectTo: parameters)
        var terms = [share]
        for rows in [objective.base, objective.distillation] {
          terms.append(settings.accumulate == 1 ? rows : try rows.scaled(by: 1 / Float(settings.accumulate)))
        }
        if let earlier = gradients[objective.block], let earlierSums = sums[objective.block] {
          gradients[objective.block] = try StepProgram.added(earlier, new)
          var totals: [Value] = []
          for (a, b) in zip(earlierSums, terms) { totals.append(try StepProgram.total(a, b)) }
          sums[objective.block] = totals
        } else {
          gradients[objective.block] = new
          sums[objective.block] = terms
        }
      }
    }
    var results: [Value] = []
    for block in blocks {
      let layout = StepProgram.layout(block, task)
      for rows in sums[block] ?? [] { results.append(try rows.sum()) }
      let decay = settings.weightDecay ?? recipe.optimizer.weightDecay
      let decays = { (parameter: Parameter) in settings.decaysAll || parameter.decays }
      if let momentum = settings.momentum {
        results.append(
          try graph.sgd(
            block: block, parameters: layout.parameters, count: layout.count, gradients: gradients[block] ?? [],
            decays: decays, momentum: momentum, weightDecay: decay, state: state))
      } else {
        results.append(
          try graph.adamW(
            block: block, parameters: layout.parameters, count: layout.count, gradients: gradients[block] ?? [],
            decays: decays, beta1: recipe.optimizer.beta1, beta2: recipe.optimizer.beta2, eps: recipe.optimizer.eps,
            weightDecay: decay, maxNorm: settings.clip, state: state))
      }
    }
    self.blocks = blocks
    program = Program(graph, results: results)
    unfused = Program(graph, results: results, fusing: false)
  }

  private static func layout(_ block: String, _ task: TrainingTask) -> ParameterLayout {
    guard let unit = task.trained.first(where: { $0.block == block }) else {
      preconditionFailure("\(task.name) has an objective for \(block), which it does not train")
    }
    return unit.layout
  }

  /// Rows, or rows that are summed already where one of both is.
  private static func total(_ a: Value, _ b: Value) throws(ShapeError) -> Value {
    a.shape == b.shape ? try a + b : try a.sum() + b.sum()
  }

  private static func added(_ a: [Value?], _ b: [Value?]) throws(ShapeError) -> [Value?] {
    var sums: [Value?] = []
    for (x, y) in zip(a, b) {
      if let x, let y { sums.append(try x + y) } else { sums.append(x ?? y) }
    }
    return sums
  }
}

extension Parameter {
  /// Weight decay acts on matrices: not on vectors, biases, positions or the class token. An expert's bias is stored as
  /// (1, F), so the name decides there; single numbers, which are stored without an axis, decay as published.
  package var decays: Bool {
    storedShape.rank != 1 && !name.hasSuffix("bias") && name != "pos_embed" && name != "cls_token"
  }
}
