import ArgumentParser
import Distillation
import GPU
import Storage

struct PlanCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan", abstract: "Say what a recipe takes: modules, parameters, FLOPs, memory, time. Trains nothing.")

  @Argument(help: "The recipe.") var recipe: String
  @Option(help: "Draw the graph that a circuit's mediators start as into this SVG file.") var graph: String?
  @Option(help: "Seed of that graph.") var seed: UInt64 = 0
  @OptionGroup var options: DeviceOptions
  @OptionGroup var tuning: TuningOptions

  func run() throws {
    let recipe = try Recipe(reading: recipe)
    if let graph { try draw(recipe, into: graph) }
    let device = try options.open(tuning.width, recipe.precision)
    let report = try PlanReport(
      recipe, traits: device.traits, choices: tuning.choices(on: device), rate: try device.matmulRate())
    print("\(recipe.name): \(recipe.pairs) teaching pairs")
    print(report.text)
    let needed = report.tasks.map { $0.arenaBytes + $0.modelBytes }.max() ?? 0
    if needed > device.memoryAvailable {
      print(
        "it would not run here: the largest task needs \(mebibytes(needed)) of device memory, \(device.snapshot.name) has "
          + "\(mebibytes(device.memoryAvailable))")
    }
  }

  private func draw(_ recipe: Recipe, into path: String) throws {
    guard let circuit = recipe.student as? AttentiveCircuit, let prior = circuit.prior else {
      throw ValidationError("--graph: the student of \(recipe.name) is no circuit with a graph prior")
    }
    let fitted = try circuit.fitted(prior, seed: seed)
    let reaches = Set([prior.truncation, circuit.settings.truncation]).sorted().map(fitted.realization)
    let title = "\(recipe.name): \(circuit.settings.mediators) mediators, \(prior.graph.name), seed \(seed)"
    try AtomicFile.write(to: path) { (file) throws(StorageError) in
      try file.write(Array(fitted.graph.svg(title: title).utf8))
    }
    print("\(path): \(prior.graph.name), \(fitted.graph.edges.count) edges")
    for reach in reaches { print("  \(reach)") }
  }
}
