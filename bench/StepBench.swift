import ArgumentParser
import Distillation
import Foundation
import GPU
import Graph
import NN
import Ops
import Tuning

struct StepBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "step", abstract: "Training steps of a recipe: whole, and op by op.",
    discussion: """
      Images are noise, so the recipe's data are not read. A row of op `step` is a whole step by the host's clock; the \
      rows below it are its ops by the device's clock, of steps that run apart with a time stamp after every op.
      """)

  @Argument(help: "The recipe.") var recipe: String
  @Option(help: "One phase alone: PT, MT, FT, m2mKD or E2E.") var phase: PhaseName?
  @Option(help: "Some teaching pairs of MT or m2mKD, e.g. 0,2.") var pairs: PairList?
  @Flag(help: "Tell ops apart by the shapes of their inputs.") var shapes = false
  @Flag(help: "Whole steps only, not op by op.") var whole = false
  @OptionGroup var options: BenchOptions

  func run() throws {
    let recipe = try Recipe(reading: recipe)
    let pairs = try pairs?.numbers(of: recipe) ?? Array(0..<recipe.pairs)
    let session = try Session(options, recipe.precision)
    let rate = try WholeStep.matmulRate(session)
    let phases = recipe.allPhases(pairs: pairs)
    for phase in phases where self.phase == nil || phase.name == self.phase {
      try measure(phase.task(recipe), recipe, matmulRate: rate, session)
    }
    try session.finish()
  }

  private func measure(_ task: TrainingTask, _ recipe: Recipe, matmulRate: Double, _ session: Session) throws {
    let layout = try session.layout(try StepProgram(task, recipe: recipe).program, frozen: task.frozen)
    let settings = task.settings
    let batch = settings.accumulate == 1 ? "\(settings.batch)" : "\(settings.accumulate) x \(settings.batch)"
    let step = WholeStep(
      name: task.name, shape: "batch \(batch)", layout: layout, blocks: try task.madeUpBlocks(on: session.device),
      feed: task.madeUpFeed(recipe, learningRate: 1e-3))
    try step.measure(matmulRate: matmulRate, session)
    if !whole { try step.measureOps(shapes: shapes, session) }
  }
}
