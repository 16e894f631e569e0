import Foundation
import GPU
import Graph
import Images
import Models
import NN
import Storage
import Synchronization

/// Set from a signal handler's thread to end a run after the step in progress.
package final class StopFlag: Sendable {
  private let raised = Atomic<Bool>(false)
  package init() {}
  package var isRaised: Bool { raised.load(ordering: .relaxed) }
  package func raise() { raised.store(true, ordering: .relaxed) }
}

/// Runs tasks: loads what they need, records their step once, replays it, and stores what came out.
package struct Trainer: Sendable {
  package let recipe: Recipe
  package let seed: UInt64
  package let device: Device
  package let choices: Choices
  package let images: TrainingImages
  package let directory: RunDirectory
  package let reporter: any Reporter
  package let stop: StopFlag
  package let profile: RunProfile?

  package init(
    recipe: Recipe, seed: UInt64, device: Device, choices: Choices = .defaults, images: TrainingImages,
    directory: RunDirectory, reporter: any Reporter, stop: StopFlag,
    profile: RunProfile? = nil
  ) {
    self.recipe = recipe
    self.seed = seed
    self.device = device
    self.choices = choices
    self.images = images
    self.directory = directory
    self.reporter = reporter
    self.stop = stop
    self.profile = profile
  }

  /// Steps that may be in flight; the host reads a step's metrics this many steps later and never stalls the device.
  private static let inFlight = 2
  /// Rows of metrics that are written together: a file is opened and a line encoded in less time than a step, but not in
  /// none. What a kill takes of them is computed again from the stored state, which is written after them.
  private static let rowsTogether = 32

  /// Trains `task` to its end, or continues it.
  /// - Parameter resuming: skip the task if its results are stored, continue from its state file if there is one.
  /// - Throws: `RunError`; the stored state, if any, stays usable.
  package func run(_ task: TrainingTask, resuming: Bool) throws(RunError) {
    let trained = task.trained.map(\.block)
    if resuming, trained.allSatisfy(directory.has) {
      removeState(of: task)
      return reporter.note("\(task.name): done before, kept")
    }
    if !resuming { try checkNothingIsOverwritten(task) }

    let state = resuming ? try storedState(of: task) : nil
    let first = (state?.step ?? 0) + 1
    try attempt { () throws(StorageError) in
      try directory.metrics.remove { (row: MetricsRow) in
        row.task == task.name && (row.event != .step || row.step >= first)
          && row.block.split(separator: " ").contains { trained.contains(String($0)) }
      }
    }

    let step = try attempt(task.name) { () throws(ShapeError) in try StepProgram(task, recipe: recipe) }
    let layout = PlanLayout(step.program, traits: device.traits, choices: choices, frozen: task.frozen)
    try task.checkMemory(layout, on: device)
    var modules: [ModuleState] = []
    for unit in task.units { modules.append(try load(unit, state: state)) }
    let blocks = modules.reduce(into: [:]) { $0.merge($1.blocks) { a, _ in a } }
    let plan = try attempt(task.name) { () throws(VulkanError) in
      try Plan(
        layout, on: device, blocks: blocks, slots: Trainer.inFlight + 1,
        profiling: self.profile != nil && device.plan.hasTimestamps)
    }

    let consultant = try task.consultation.map { (consultation) throws(RunError) in
      try Consultant(consultation, blocks: blocks, frozen: task.frozen, device: device, choices: choices)
    }

    let settings = task.settings
    let profile = self.profile?.task(task.name, from: first, layout: layout)
    reporter.begin(
      task: task.name, steps: settings.steps, from: first,
      parameters: task.trained.reduce(0) { $0 + $1.layout.elements })
    let batches = try self.batches(task, from: first, profile)
    defer { batches.cancel() }
    let begin = ContinuousClock.now
    var host = HostClock()
    var pending: [(step: Int, run: Plan.Run)] = []
    var unwritten: [MetricsRow] = []
    func write() throws(RunError) {
      try attempt { () throws(StorageError) in try directory.metrics.append(unwritten) }
      unwritten.removeAll(keepingCapacity: true)
    }
    func collect(downTo count: Int) throws(RunError) {
      while pending.count > count {
        let (number, run) = pending.removeFirst()
        let waiting = profile?.begin()
        let values = try attempt { () throws(VulkanError) in
          let values = try run.scalars().map(Double.init)
          try profile?.collect(run, step: number)
          return values
        }
        profile?.end("wait", waiting, step: number)
        let writing = profile?.begin()
        let rows = rows(task, step: number, blocks: step.blocks, values)
        guard values.allSatisfy(\.isFinite) else {
          try write()
          throw try diagnose(task, step, at: number, rows, blocks: blocks, consultant)
        }
        unwritten += rows
        if unwritten.count >= Trainer.rowsTogether { try write() }
        let speed = Double((number - first + 1) * settings.batch * settings.accumulate) / begin.seconds
        reporter.step(rows, of: settings.steps, imagesPerSecond: speed)
        profile?.end("metrics", writing, step: number)
      }
    }
    for number in stride(from: first, through: settings.steps, by: 1) {
      let stepping = profile?.begin()
      let batch = try attempt { () throws(any Error) in try batches.next() }
      profile?.end("batch", stepping, step: number)
      // What it reads is what the step before left.
      if consultant != nil { try collect(downTo: 0) }
      let answers = try attempt(task.name) { () throws(VulkanError) in try consultant?.inputs() ?? [:] }
      host.start()
      let submitting = profile?.begin()
      let run = try attempt("\(task.name), step \(number)") { () throws(VulkanError) in
        try plan.run(profiled: profile?.steps.contains(number) ?? false) {
          let feeding = profile?.begin()
          feed($0, batch, answers, step: number, settings)
          profile?.end("feed", feeding, step: number)
        }
      }
      profile?.end("submit", submitting, step: number)
      pending.append((number, run))
      try collect(downTo: Trainer.inFlight)
      host.stop()
      profile?.end("step", stepping, step: number)
      if stop.isRaised || (number % recipe.checkpointEvery == 0 && number < settings.steps) {
        try collect(downTo: 0)
        try write()
        try store(task, modules, step: number)
        guard !stop.isRaised else {
          throw RunError(stopped: "stopped in \(task.name) after step \(number), which is stored")
        }
      }
    }
    try collect(downTo: 0)
    try write()
    var row = MetricsRow(event: .task, task: task.name, block: trained.joined(separator: " "), step: settings.steps)
    row.seconds = begin.seconds
    row.images = (settings.steps - first + 1) * settings.batch * settings.accumulate
    row.hostMilliseconds = 1e3 * host.seconds / Double(max(1, settings.steps - first + 1))
    // The row first: a task whose checkpoints are all there counts as done.
    try attempt { () throws(StorageError) in try directory.metrics.append(row) }
    for (unit, module) in zip(task.units, modules) where unit.isTrained {
      let kept = zip(task.units, modules).filter { $0.0.keptWith == unit.block }.map(\.1)
      try save(module, with: kept, step: settings.steps)
    }
    removeState(of: task)
    reporter.end(task: task.name, row: row)
    try self.profile?.write(to: directory)
  }

  // MARK: Data

  private func batches(
    _ task: TrainingTask, from first: Int, _ profile: TaskProfile? = nil
  ) throws(RunError) -> Prefetcher<ImageBatch> {
    let settings = task.settings
    let (images, sampler) = try attempt(task.name) { () throws(StorageError) in
      let images = try task.images(of: self.images)
      let sampler = try BatchSampler(
        count: images.count, batch: settings.batch * settings.accumulate, seed: seed, stream: task.dataStream)
      return (images, sampler)
    }
    let data = task.data(recipe)
    return Prefetcher(from: first) { [recipe, seed] step in
      let gathering = profile?.begin()
      defer { profile?.end("gather", gathering, step: step, thread: .prefetch) }
      let indices = sampler.indices(step: step - 1)
      guard let draw = data.draw(task.images, seed: seed, stream: "\(task.dataStream), step \(step)") else {
        return try images.batch(indices)
      }
      return try images.batch(indices, draw, parts: settings.accumulate, smoothing: recipe.labelSmoothing)
    }
  }

  private func feed(
    _ feed: Plan.Feed, _ batch: ImageBatch, _ answers: [String: [UInt32]], step: Int, _ settings: PhaseSettings
  ) {
    for (name, words) in answers { feed.set(name, words[...]) }
    let pixels = batch.images.count / settings.accumulate
    for micro in 0..<settings.accumulate {
      feed.set(StepProgram.images(micro), batch.images[micro * pixels..<(micro + 1) * pixels])
      let rows = micro * settings.batch..<(micro + 1) * settings.batch
      if let targets = batch.targets {
        let classes = targets.count / batch.labels.count
        feed.set(StepProgram.labels(micro), targets[rows.lowerBound * classes..<rows.upperBound * classes])
      } else {
        feed.set(StepProgram.labels(micro), batch.labels[rows])
      }
    }
    let state = StepState(step: step, learningRate: settings.learningRate(step: step), seed: seed)
    feed.set(StepState.inputName, state.words(beta1: recipe.optimizer.beta1, beta2: recipe.optimizer.beta2)[...])
  }

  private func rows(_ task: TrainingTask, step: Int, blocks: [String], _ values: [Double]) -> [MetricsRow] {
    let each = StepProgram.resultsPerObjective
    return blocks.enumerated().map { i, block in
      var row = MetricsRow(event: .step, task: task.name, block: block, step: step)
      row.learningRate = task.settings.learningRate(step: step)
      row.loss = values[each * i]
      row.base = values[each * i + 1]
      row.distillation = values[each * i + 2]
      row.gradientNorm = values[each * i + 3]
      return row
    }
  }

  // MARK: Checks

  /// What was trained before is never replaced: training again begins with removing it.
  private func checkNothingIsOverwritten(_ task: TrainingTask) throws(RunError) {
    let stored = task.trained.map { directory.checkpoint($0.block) } + [directory.state(task.name)]
    if let path = stored.first(where: FileManager.default.fileExists) {
      throw RunError("\(task.name): \(path) exists; continue from it with --resume, or remove it to train again")
    }
  }

  /// The optimiser keeps parameters as they were before the first non-finite gradient, so the step can be repeated op by
  /// op to find where it began.
  private func diagnose(
    _ task: TrainingTask, _ step: StepProgram, at number: Int, _ rows: [MetricsRow], blocks: [String: Buffer],
    _ consultant: Consultant?
  ) throws(RunError) -> RunError {
    let found = try attempt { () throws(any Error) -> String? in
      do {
        try device.waitIdle()
        let layout = PlanLayout(step.unfused, traits: device.traits, choices: choices, aliasing: false)
        let plan = try Plan(layout, on: device, blocks: blocks, slots: 1)
        let source = try batches(task, from: number)
        defer { source.cancel() }
        let batch = try source.next()
        let answers = try consultant?.inputs() ?? [:]
        let run = try plan.run { feed($0, batch, answers, step: number, task.settings) }
        try run.ticket.wait()
        for node in step.unfused.nodes {
          for output in node.outputs where step.unfused.types[output].dtype == .f32 {
            guard try plan.contents(of: output).allSatisfy(\.isFinite) else {
              return "\(node.op.name) \(step.unfused.types[output])"
            }
          }
        }
        return nil
      } catch is VulkanError {
        return nil  // A plan without aliasing may need more memory than there is; the step is told all the same.
      }
    }
    let row = rows.first { !($0.loss ?? 0).isFinite || !($0.gradientNorm ?? 0).isFinite }
    let quantity = (row?.loss ?? 0).isFinite ? "the gradient norm" : "the loss"
    return RunError(
      "\(task.name), step \(number): \(quantity) of \(row?.block ?? "a module") is not finite"
        + (found.map { "; the first op with such a value is \($0)" } ?? "")
        + "; lower the learning rate (\(row?.learningRate ?? 0)) or clip gradients")
  }

  // MARK: Stored state

  private func store(_ task: TrainingTask, _ modules: [ModuleState], step: Int) throws(RunError) {
    try attempt { () throws(any Error) in
      var tensors: [Checkpoint.Tensor] = []
      for module in modules where task.trained.contains(where: { $0.block == module.layout.block }) {
        for suffix in ["", ".m", ".v"] {
          let values = try module.contents(suffix, device: device)
          tensors += Checkpoint.tensors(module.layout, values, prefix: "\(module.layout.block)\(suffix)/")
        }
      }
      try Safetensors.write(
        tensors, metadata: description(task.unfinished, step).metadata, to: directory.state(task.name))
    }
  }

  private func removeState(of task: TrainingTask) {
    try? FileManager.default.removeItem(atPath: directory.state(task.name))
  }

  /// - Parameter kept: what is not trained and has no checkpoint of its own.
  private func save(_ module: ModuleState, with kept: [ModuleState], step: Int) throws(RunError) {
    try attempt { () throws(any Error) in
      var tensors: [Checkpoint.Tensor] = []
      for state in [module] + kept { tensors += Checkpoint.tensors(state.layout, try state.contents(device: device)) }
      try Safetensors.write(
        tensors, metadata: description(module.layout.block, step).metadata,
        to: directory.checkpoint(module.layout.block))
    }
  }

  private func description(_ block: String, _ step: Int) -> Checkpoint.Description {
    Checkpoint.Description(block: block, recipe: recipe.yaml, seed: seed, step: step)
  }

  private func storedState(of task: TrainingTask) throws(RunError) -> (file: Safetensors, step: Int)? {
    let path = directory.state(task.name)
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    let file = try open(path)
    let description = try Checkpoint.Description(file)
    guard description.seed == seed, description.block == task.unfinished else {
      throw RunError(
        "\(path) holds \(description.block) with seed \(description.seed), not \(task.unfinished) with seed \(seed); "
          + "finish it with the same --pairs and --seed, or remove it")
    }
    return (file, description.step)
  }

  private func open(_ path: String) throws(RunError) -> Safetensors {
    try attempt { () throws(StorageError) in try Safetensors(reading: path) }
  }

  private func load(
    _ unit: TrainingTask.Unit, state: (file: Safetensors, step: Int)?
  ) throws(RunError) -> ModuleState {
    let layout = unit.layout
    let values: [Float]
    var moments: (first: [Float], second: [Float])?
    if unit.isTrained, let state {
      func stored(_ suffix: String) throws(RunError) -> [Float] {
        try Checkpoint.values(layout) { (state.file, "\(layout.block)\(suffix)/\($0)") }
      }
      values = try stored("")
      moments = (try stored(".m"), try stored(".v"))
    } else {
      values = try self.values(layout, from: unit.origin)
    }
    return try attempt { () throws(VulkanError) in
      try ModuleState(layout, values: values, isTrained: unit.isTrained, moments: moments, device: device)
    }
  }

  private func values(_ layout: ParameterLayout, from origin: TrainingTask.Origin) throws(RunError) -> [Float] {
    func fresh(_ stream: String, _ fill: TrainingTask.Origin.Fill?) throws(RunError) -> [Float] {
      var values = layout.initialValues(seed: seed, stream: stream)
      try fill?(&values, seed)
      return values
    }
    switch origin {
    case .fresh(let stream, let fill): return try fresh(stream, fill)
    case .checkpoint(let block):
      let file = try required(block)
      return try Checkpoint.values(layout) { (file, $0) }
    case .modules(let block, let part, let stream, let fill):
      var files: [Safetensors] = []
      for module in 0..<recipe.pairs { files.append(try required("\(block).\(module)")) }
      return try Checkpoint.values(layout, startingAt: try fresh(stream, fill)) { name in
        part(name).map { (files[$0.module], $0.name) }
      }
    }
  }

  private func required(_ block: String) throws(RunError) -> Safetensors {
    guard directory.has(block) else {
      throw RunError(
        "\(directory.checkpoint(block)) is missing: run the phase that trains \(block) first, or copy it here")
    }
    return try open(directory.checkpoint(block))
  }
}

/// Processor time of this thread, which does not grow while it waits.
package struct HostClock {
  package private(set) var seconds = 0.0
  private var begin = 0.0

  package init() {}

  package mutating func start() { begin = HostClock.now }
  package mutating func stop() { seconds += HostClock.now - begin }

  private static var now: Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + 1e-9 * Double(time.tv_nsec)
  }
}

extension ContinuousClock.Instant {
  /// Seconds since this moment.
  package var seconds: Double {
    let duration = duration(to: .now)
    return Double(duration.components.seconds) + 1e-18 * Double(duration.components.attoseconds)
  }
}

package func mebibytes(_ bytes: Int) -> String {
  bytes < 10 << 30 ? "\((bytes + 1 << 20 - 1) >> 20) MiB" : "\(bytes >> 30) GiB"
}
