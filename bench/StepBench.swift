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
    let session = try Session(options)
    let rate = try matmulRate(session)
    session.note(String(format: "matmul of 512 x 512 x 512: %.1f GFLOP/s", 1e-9 * rate))
    let phases = recipe.allPhases(pairs: pairs)
    for phase in phases where self.phase == nil || phase.name == self.phase {
      try measure(phase.task(recipe), recipe, matmulRate: rate, session)
    }
    try session.finish()
  }

  /// Operations per second of y = x W^T at 512 x 512 x 512: what a step's are compared with.
  private func matmulRate(_ session: Session) throws -> Double {
    let opCase = try MatmulForm.nt.opCase(MatmulShape(512, 512, 512))
    let tensors = try OpTensors(opCase, on: session.device)
    let variant = try session.variants(of: opCase.op, at: tensors.site)[0]
    let contender = try Contender(variant.name, variant.launch, on: tensors)
    let seconds = try alternate([contender], seconds: options.seconds)[0].min
    return Double(opCase.op.cost(tensors.site.inputs, tensors.site.outputs).flops) / seconds
  }

  private func measure(_ task: TrainingTask, _ recipe: Recipe, matmulRate: Double, _ session: Session) throws {
    let device = session.device
    let layout = try session.layout(try StepProgram(task, recipe: recipe).program, frozen: task.frozen)
    var blocks: [String: Buffer] = [:]
    for unit in task.units {
      let layout = unit.layout
      let values = layout.initialValues(seed: 0, stream: layout.block)
      let state = try ModuleState(layout, values: values, isTrained: unit.isTrained, device: device)
      blocks.merge(state.blocks) { a, _ in a }
    }
    let feed = feed(task, recipe)
    let plan = try Plan(layout, on: device, blocks: blocks)
    for _ in 0..<2 { try plan.run(feeding: feed).ticket.wait() }
    var timings = Timings(hasTimestamps: false)
    var host: [Double] = []
    let begin = ContinuousClock.now
    while timings.device.count < 5 || begin.duration(to: .now) < .seconds(options.seconds) {
      let (start, processor) = (ContinuousClock.now, processorSeconds())
      var clock = HostClock()
      clock.start()
      let run = try plan.run(feeding: feed)
      clock.stop()
      try run.ticket.wait()
      timings.add((start.seconds, processorSeconds() - processor))
      host.append(clock.seconds)
    }
    let settings = task.settings
    let batch = settings.accumulate == 1 ? "\(settings.batch)" : "\(settings.accumulate) x \(settings.batch)"
    let matmulFraction = Double(layout.cost.flops) / timings.median / matmulRate
    session.report(
      op: "step", case: task.name, shape: "batch \(batch)", family: "\(plan.dispatchCount) dispatches", timings,
      cost: layout.cost, relative: ["matmul": matmulFraction],
      step: Row.Step(
        hostMilliseconds: 1e3 * host.sorted()[host.count / 2], dispatches: plan.dispatchCount,
        barriers: plan.barrierCount))
    if !options.json {
      print(
        String(
          format: "  %.2f GFLOP at %.0f %% of the rate of matmul; %d dispatches, %d barriers; host work %.3f ms",
          1e-9 * Double(layout.cost.flops), 100 * matmulFraction, plan.dispatchCount, plan.barrierCount,
          1e3 * host.sorted()[host.count / 2]))
    }
    if whole { return }
    guard device.plan.hasTimestamps else { return session.note("  no times of single ops: no time stamps") }
    try ops(task, layout, blocks, feed, session)
  }

  /// The ops of profiled steps, added up by name.
  private func ops(
    _ task: TrainingTask, _ layout: PlanLayout, _ blocks: [String: Buffer], _ feed: (Plan.Feed) -> Void,
    _ session: Session
  ) throws {
    let types = layout.program.types
    let names = layout.program.nodes.map { node in
      shapes
        ? "\(node.op.name) \(node.inputs.prefix(2).map { types[$0].description }.joined(separator: " "))" : node.op.name
    }
    var kinds: [String: (op: String, count: Int, cost: Cost, timings: Timings)] = [:]
    for (node, name) in zip(layout.program.nodes, names) {
      let cost = node.op.cost(node.inputs.map { types[$0] }, node.outputs.map { types[$0] })
      let known = kinds[name] ?? (node.op.name, 0, Cost(flops: 0, bytes: 0), Timings(hasTimestamps: true))
      kinds[name] = (known.op, known.count + 1, known.cost + cost, known.timings)
    }
    let plan = try Plan(layout, on: session.device, blocks: blocks, profiling: true)
    try plan.run(feeding: feed).ticket.wait()
    let begin = ContinuousClock.now
    var runs = 0
    while runs < 3 || begin.duration(to: .now) < .seconds(options.seconds) {
      try plan.run(feeding: feed).ticket.wait()
      var sums: [String: Double] = [:]
      for ((_, seconds), name) in zip(try plan.opSeconds() ?? [], names) { sums[name, default: 0] += seconds }
      for (name, seconds) in sums { kinds[name]?.timings.add((seconds, .nan)) }
      runs += 1
    }
    for (name, kind) in kinds.sorted(by: { $0.value.timings.median > $1.value.timings.median }) {
      let shape = shapes ? String(name.dropFirst(kind.op.count + 1)) : "all"
      session.report(
        op: kind.op, case: shapes ? "step \(task.name) \(shape)" : "step \(task.name)", shape: shape,
        family: "\(kind.count) ops", kind.timings, cost: kind.cost)
    }
  }

  /// Step 1, with noise for images: tokens then differ and are routed to all experts.
  private func feed(_ task: TrainingTask, _ recipe: Recipe) -> (Plan.Feed) -> Void {
    let state = StepState(step: 1, learningRate: 1e-3, seed: 0)
      .words(beta1: recipe.optimizer.beta1, beta2: recipe.optimizer.beta2)
    let image = task.images
    let noise = (0..<task.settings.batch * image.channels * image.size * image.size).map {
      UInt8(($0 &* 2_654_435_761) >> 13 & 0xff)
    }
    return { feed in
      feed.set(StepState.inputName, state[...])
      for micro in 0..<task.settings.accumulate { feed[StepProgram.images(micro)]?.copyBytes(from: noise) }
    }
  }
}
