import GPU
import Graph
import NN
import Tuning

/// A short training step of a student with experts, on made-up images, to time a device as a whole: products, attention,
/// routing and what moves memory in about the proportions of a real one, with the default kernels.
package struct TrialStep {
  private let plan: Plan
  private let feed: (Plan.Feed) -> Void

  private static let text = """
    name: trial
    data: {set: imagenet, directory: none, validation: 0}
    image: {size: 64, channels: 3, patch: 8, classes: 100, mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25]}
    meta: {depths: [1, 1]}
    teacher: {features: 384, heads: 6, depths: [1, 1]}
    student: {features: 384, heads: 6, depths: [1, 1], experts: 4, experts_per_token: 2}
    phases:
      PT: {steps: 1, batch: 8, learning_rate: 1.0e-4}
      MT: {steps: 1, batch: 8, learning_rate: 1.0e-4}
      FT: {steps: 1, batch: 8, learning_rate: 1.0e-4}
      m2mKD: {steps: 1, batch: 8, learning_rate: 1.0e-4, distillation: soft, alpha: 0.5, temperature: 1}
      E2E: {steps: 1, batch: 8, learning_rate: 1.0e-4}
    """

  private static func made() throws -> (recipe: Recipe, task: TrainingTask, program: Program) {
    let recipe = try Recipe(file: "trial", text: text)
    let task = E2E(start: .scratch).task(recipe)
    return (recipe, task, try StepProgram(task, recipe: recipe).program)
  }

  package init(on device: Device) throws {
    let (recipe, task, program) = try TrialStep.made()
    plan = try Plan(
      PlanLayout(program, traits: device.traits, frozen: task.frozen), on: device,
      blocks: task.madeUpBlocks(on: device))
    feed = task.madeUpFeed(recipe, learningRate: 1e-4)
  }

  /// - Returns: the loss.
  package func run() throws -> Double { Double(try plan.run(feeding: feed).scalars()[0]) }

  /// Changes with the kernels of the step at any vector width.
  package static var fingerprint: String {
    guard let program = try? made().program else { return "" }
    return VectorWidth.known.map { program.fingerprint(DeviceTraits(subgroupSize: $0 / 32)) }.joined(separator: " ")
  }
}

extension VectorWidth {
  /// As below, measured with `TrialStep`.
  package static func settle(_ wish: Wish, device: String?, notice: (String) -> Void) -> Settled {
    settle(wish, device: device, kernels: TrialStep.fingerprint, notice: notice)
  }
}
