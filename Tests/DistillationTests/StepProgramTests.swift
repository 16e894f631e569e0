import Distillation
import Foundation
import GPU
import Graph
import Models
import NN
import TestSupport
import Testing

/// What can be said of a training step without a device.
@Suite struct StepProgramTests {
  static let tasks: [any Phase] = [
    PT(), MT(pairs: [0, 1, 2]), FT(), M2mKD(pairs: [0, 1, 2]), E2E(), M2mKD(pairs: [0], block: "alone", alpha: 0),
  ]

  private func layout(_ phase: any Phase, _ tiny: TinyRecipe = TinyRecipe()) throws -> PlanLayout {
    let recipe = try tiny.recipe()
    return PlanLayout(try StepProgram(phase.task(recipe), recipe: recipe).program, traits: DeviceTraits())
  }

  /// Blocks that a program changes: the trained ones and their optimiser state, nothing else.
  @Test(arguments: tasks) func onlyWhatIsTrainedChanges(_ phase: any Phase) throws {
    let recipe = try TinyRecipe(accumulate: 2, clip: "1.0").recipe()
    let task = phase.task(recipe)
    let program = try StepProgram(task, recipe: recipe).program
    var changed: Set<String> = []
    for node in program.nodes {
      for input in node.op.mutates {
        guard case .block(let name, _) = program.sources[node.inputs[input]] else {
          Issue.record("\(node.op.name) changes what is not persistent")
          continue
        }
        changed.insert(name)
      }
    }
    #expect(changed == Set(task.trained.flatMap { ["", ".m", ".v", ".status"].map(($0.block).appending) }))
    #expect(!task.trained.isEmpty)
  }

  /// A sweep of three computes the first meta module once and not twice, the second once: everything else is per pair.
  @Test(arguments: [true, false]) func sweepSharesTheMetaPrefix(distills: Bool) throws {
    func phase(_ pairs: [Int]) -> any Phase { distills ? M2mKD(pairs: pairs) : MT(pairs: pairs) }
    func count(_ layout: PlanLayout) -> (dispatches: Int, attentions: Int) {
      (layout.dispatchCount, layout.program.nodes.count { $0.op.name == "attention" })
    }
    let sweep = count(try layout(phase([0, 1, 2])))
    let alone = try (0..<3).map { count(try layout(phase([$0]))) }
    #expect(sweep.dispatches < alone.reduce(0) { $0 + $1.dispatches })
    // Pairs 1 and 2 both need meta module 0; with one block in each, one attention is saved.
    #expect(alone.reduce(0) { $0 + $1.attentions } - sweep.attentions == 1)
  }

  @Test func fusionKeepsResultsAndRemovesOps() throws {
    let recipe = try TinyRecipe().recipe()
    let step = try StepProgram(E2E().task(recipe), recipe: recipe)
    #expect(step.program.results == step.unfused.results)
    #expect(step.program.results.count == StepProgram.resultsPerObjective)
    #expect(step.program.nodes.count < step.unfused.nodes.count)
    #expect(Set(step.program.nodes.flatMap(\.outputs)).isSubset(of: step.unfused.nodes.flatMap(\.outputs)))
  }

  /// Micro-batches reuse each other's memory: only the gradients that are added up come on top.
  @Test func accumulationNeedsLittleMoreMemory() throws {
    let parts = [1, 2, 8].map { TinyRecipe(features: 64, batch: 64, accumulate: $0) }
    let bytes = try parts.map { try layout(PT(), $0).arenaBytes }
    #expect(Double(bytes[1]) < 1.5 * Double(bytes[0]) && Double(bytes[2]) < 1.1 * Double(bytes[1]), "\(bytes)")
  }

  /// Dispatches and bytes of the demo recipe. A change is not an error, but it must show.
  @Test func sizesAreAsRecorded() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let file = root.appendingPathComponent("Fixtures/sizes.txt")
    let recipe = try Recipe(
      reading: root.deletingLastPathComponent().appendingPathComponent("recipes/fashion-vmoe.yml").path)
    var lines = [
      "# recipes/fashion-vmoe.yml on default device traits: ops, dispatches, arena bytes, input bytes, trained parameters"
    ]
    for phase in [PT(), MT(pairs: [0, 1, 2]), FT(), M2mKD(pairs: [0, 1, 2]), E2E()] as [any Phase] {
      let task = phase.task(recipe)
      let layout = PlanLayout(try StepProgram(task, recipe: recipe).program, traits: DeviceTraits())
      let numbers = [
        layout.program.nodes.count, layout.dispatchCount, layout.arenaBytes, layout.feedBytes,
        task.trained.reduce(0) { $0 + $1.model.layout.elements },
      ]
      lines.append("\(task.name) " + numbers.map(String.init).joined(separator: " "))
    }
    let text = lines.joined(separator: "\n") + "\n"
    if ProcessInfo.processInfo.environment["GRAFT_UPDATE_SNAPSHOTS"] == "1" {
      try Data(text.utf8).write(to: file)
    }
    let recorded = try String(contentsOf: file, encoding: .utf8)
    for (old, new) in zip(recorded.split(separator: "\n"), lines) {
      #expect(
        old == new,
        "was \(old), is \(new); if that is meant, run the test with GRAFT_UPDATE_SNAPSHOTS=1 and commit sizes.txt")
    }
    #expect(recorded.split(separator: "\n").count == lines.count)
  }
}

extension OnDevice {
  @Suite struct FusionTests {
    /// One training step of a mixture-of-experts student, op by op and fused.
    @Test func fusedStepIsTheUnfusedStep() throws {
      let recipe = try TinyRecipe(eps: "1.0e-3", dropPath: "0.3", clip: "0.5").recipe()
      let task = E2E(start: .scratch).task(recipe)
      let step = try StepProgram(task, recipe: recipe)
      let model = task.units[0].model
      let device = try TestDevice.shared.get()
      let batch = tinyImages.batch(Array(0..<8))
      func run(_ program: Program) throws -> (results: [Float], values: [Float]) {
        let state = try ModuleState(
          model.layout, values: model.layout.initialValues(seed: 3, stream: "student"), isTrained: true, device: device)
        let plan = try Plan(PlanLayout(program, traits: device.traits), on: device, blocks: state.blocks)
        let run = try plan.run { feed in
          feed.set(StepProgram.images(0), batch.images[...])
          feed.set(StepProgram.labels(0), batch.labels[...])
          feed.set(
            StepState.inputName, StepState(step: 1, learningRate: 0.01, seed: 3).words(beta1: 0.9, beta2: 0.999)[...])
        }
        let results = try program.results.indices.map { try run.floats($0)[0] }
        return (results, try state.contents(device: device))
      }
      let (fused, unfused) = (try run(step.program), try run(step.unfused))
      #expect(fused.results.count == unfused.results.count && fused.results[0] > 0.5 && fused.results[3] > 0)
      for (a, b) in zip(fused.results, unfused.results) { #expect(abs(a - b) < 1e-5 * max(1, abs(b)), "\(a) and \(b)") }
      #expect(zip(fused.values, unfused.values).allSatisfy { abs($0 - $1) < 1e-4 })
      let start = model.layout.initialValues(seed: 3, stream: "student")
      #expect(zip(fused.values, start).contains { abs($0 - $1) > 1e-3 })
    }
  }
}
