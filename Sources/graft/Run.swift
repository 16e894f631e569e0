import ArgumentParser
import Bench
import Dispatch
import Distillation
import Foundation
import GPU
import Storage
import Tuning

struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Train a recipe: all phases, then controls, then the table.")

  @Argument(help: "The recipe.") var recipe: String
  @Option(help: "One phase alone: PT, MT, FT, m2mKD or E2E.") var phase: PhaseName?
  @Option(help: "Some teaching pairs of MT or m2mKD, e.g. 0,2.") var pairs: PairList?
  @OptionGroup var options: DeviceOptions
  @Option(help: "Seed of all random numbers.") var seed: UInt64 = 0
  @Option(help: "The run directory; runs/NAME-seedS by default, numbered if it exists.") var output: String?
  @Flag(help: "Continue the run in the run directory.") var resume = false
  @Flag(
    help: "Take the default kernels instead of measuring which are the fastest; bits then repeat on other days too.")
  var noTune = false
  @Flag(help: "Measure again which kernels are the fastest.") var retune = false
  @Flag(help: "Measure steps 3 to 10 of each task op by op: profile.md, profile.json and trace.json (for Perfetto).")
  var profile = false
  @Flag(help: "Also train the long controls: all steps from scratch, and modules without a teacher.")
  var controls = false

  func validate() throws {
    guard !noTune || !retune else { throw ValidationError("--no-tune and --retune exclude each other") }
  }

  func run() throws {
    let recipe = try Recipe(reading: recipe)
    let selection = Pipeline.Selection(phase: phase, pairs: try selectedPairs(recipe), controls: controls)
    let path = output ?? directory(recipe)
    let width = options.settle(
      RunChoices.vectorWidth(of: path) ?? (noTune ? .driversOwn : retune ? .measuredAnew : .measured))
    let device = try options.open(width, recipe.precision)
    let images = try Pipeline.Images(recipe)
    try Pipeline.check(recipe, selection, images: images, on: device)
    let directory = try RunDirectory(
      path, recipe: recipe, seed: seed, use: resume ? .resume : phase == nil ? .new : .either)
    print("run directory: \(path)")
    let stop = StopFlag()
    let signal = onInterrupt(stop)
    defer { signal.cancel() }
    do {
      var settings = Tuner.Settings()
      settings.seconds = max(settings.seconds / 4, settings.seconds - width.seconds)
      let tuner = Tuner(device, settings: settings, isStopped: { stop.isRaised }, notice: note)
      // For the choice of kernels and, on software drivers, for compiling them ahead and checking them; a run may need none of it.
      lazy var programs = Result { () throws(RunError) in
        try Pipeline.programs(recipe, selection, images: images)
      }
      let kernels = try RunChoices(
        noTune ? .untuned : retune ? .tunedAnew : .tuned, for: programs.get(), in: directory, with: tuner)
      if let remark = kernels.remark { note(remark) }
      if let report = kernels.report, report.measured > 0 {
        print(String(format: "tuned %d of %d kernels in %.1f s", report.measured, report.sites, report.seconds))
      }
      if device.traits.isSoftware {
        let begin = ContinuousClock.now
        let compiled = try Precompilation(device).run(
          programs.get(), choices: kernels.choices, isStopped: { stop.isRaised })
        if stop.isRaised { throw RunError(stopped: "stopped while kernels were compiled, before the first step") }
        if let compiled {
          let seconds = begin.duration(to: .now) / .seconds(1)
          print(String(format: "compiled %d kernels for the driver's cache in %.1f s", compiled, seconds))
        }
        let replaced = try PipelineCheck(device).run(programs.get(), choices: kernels.choices)
        if replaced > 0 { note("\(replaced) kernels ran at half their speed and were made again") }
      }
      try train(
        Pipeline(
          recipe: recipe, seed: seed, device: device, choices: kernels.choices, images: images, directory: directory,
          reporter: ConsoleReporter(), stop: stop, profile: profile ? RunProfile(device) : nil),
        selection, in: directory, title: "\(recipe.name), seed \(seed), \(device.snapshot.name)")
    } catch let error as RunError where error.wasStopped {
      throw Interrupted(description: "\(error); continue with: \(continuation(path))")
    }
  }

  private func train(
    _ pipeline: Pipeline, _ selection: Pipeline.Selection, in directory: RunDirectory, title: String
  ) throws {
    let begin = ContinuousClock.now
    try pipeline.train(selection, resuming: resume)
    let trained = begin.duration(to: .now)
    let table = try pipeline.evaluate()
    let rows = try directory.metrics.rows(as: MetricsRow.self)
    let svg = Curves(title: title, rows: rows).svg
    for (name, text) in [("results.md", table.text + "\n"), ("curves.svg", svg)] {
      try AtomicFile.write(to: "\(directory.path)/\(name)") { (file) throws(StorageError) in
        try file.write(Array(text.utf8))
      }
    }
    print("\n\(table.text)\n")
    print(
      "training took \(trained.formatted(.units(allowed: [.minutes, .seconds], width: .abbreviated))), "
        + "peak memory \(mebibytes(peakBytes())) of this process; metrics, checkpoints and curves.svg are in \(directory.path)"
    )
  }

  /// The command that goes on where this one was stopped.
  private func continuation(_ path: String) -> String {
    var words = ["graft", "run", recipe, "--resume", "--output", path]
    if seed != 0 { words += ["--seed", String(seed)] }
    if let phase { words += ["--phase", phase.rawValue] }
    if let pairs { words += ["--pairs", pairs.text] }
    if controls { words.append("--controls") }
    if let device = options.device { words += ["--device", device] }
    return words.map { $0.contains { " '\"$&;()<>|*?".contains($0) } ? "'\($0)'" : $0 }.joined(separator: " ")
  }

  private func directory(_ recipe: Recipe) -> String {
    resume || phase != nil ? RunDirectory.latest(for: recipe, seed: seed) : RunDirectory.unused(for: recipe, seed: seed)
  }

  private func selectedPairs(_ recipe: Recipe) throws -> [Int]? {
    guard let pairs else { return nil }
    guard phase == .mt || phase == .m2mKD else {
      throw ValidationError("--pairs goes with --phase MT or --phase m2mKD")
    }
    return try pairs.numbers(of: recipe)
  }
}

/// Ctrl-C, or SIGTERM from a system that needs the machine, ends the run after the step in progress with its state
/// stored; a second one ends it at once.
private func onInterrupt(_ stop: StopFlag) -> Interrupts {
  Interrupts(
    [SIGINT, SIGTERM].map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler {
        if stop.isRaised { exit(128 + number) }
        stop.raise()
        print("\nstopping after this step (again to end at once)")
        fflush(nil)
      }
      source.resume()
      return source
    })
}

private struct Interrupts {
  let sources: [any DispatchSourceSignal]
  init(_ sources: [any DispatchSourceSignal]) { self.sources = sources }
  func cancel() { for source in sources { source.cancel() } }
}

/// The largest resident size this process had.
private func peakBytes() -> Int {
  var usage = rusage()
  getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
  return usage.ru_maxrss * 1024
}
