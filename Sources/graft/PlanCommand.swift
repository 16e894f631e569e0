import ArgumentParser
import Distillation
import GPU

struct PlanCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan", abstract: "Say what a recipe takes: modules, parameters, FLOPs, memory, time. Trains nothing.")

  @Argument(help: "The recipe.") var recipe: String
  @OptionGroup var options: DeviceOptions
  @OptionGroup var tuning: TuningOptions

  func run() throws {
    let recipe = try Recipe(reading: recipe)
    let device = try options.open(tuning.width)
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
}
