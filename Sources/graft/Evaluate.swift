import ArgumentParser
import Distillation
import Foundation
import GPU

struct Evaluate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Evaluate the model in a checkpoint on the test images of its recipe.")

  @Argument(help: "A checkpoint of a whole model, e.g. runs/…/checkpoints/student.safetensors.") var checkpoint: String
  @OptionGroup var options: DeviceOptions
  @OptionGroup var tuning: TuningOptions

  func run() throws {
    let model = try StoredModel(reading: checkpoint)
    let device = try options.open(tuning.width, model.recipe.precision)
    let data = try Pipeline.Images.test(of: model.block, model.recipe)
    let evaluator = try model.evaluator(on: device, choices: tuning.choices(on: device))
    let result = try evaluator.run(over: data)
    print(
      String(
        format: "%@ after %d steps of %@: top-1 %.2f %%, top-5 %.2f %%, loss %.4f on %d test images",
        model.block as NSString, model.step, model.recipe.name as NSString, 100 * result.top1, 100 * result.top5,
        result.loss, result.images))
    guard model.block != FS.block else { return }
    let harder = try CorruptedTests(model.recipe.evaluation, data).run(evaluator)
    if let summary = harder.summary { print("\(model.block): \(summary)") }
  }
}
