import Distillation
import Foundation
import GPU
import Images
import Models
import NN
import Storage
import Synchronization
import TestSupport
import Testing

private let hinge = "kind: hinge, hinge: 0.9, weight: 0.1"
private let blocks = "kind: block-model, clusters: 3"

extension OnDevice {
  @Suite struct CircuitTrainingTests {
    /// Modules of a circuit, taught by the small recipe's teacher.
    private static func tiny(_ regularizer: String = hinge, steps: Int = 3, accumulate: Int = 1) -> TinyRecipe {
      TinyRecipe(steps: steps, accumulate: accumulate, dropPath: "0.3", checkpointEvery: 2, circuit: regularizer)
    }

    @Test(arguments: [hinge, blocks, "kind: none"]) func sameSeedSameBits(_ regularizer: String) throws {
      let runs = try (0..<2).map { _ in
        try TinyRun(Self.tiny(regularizer, accumulate: 2), models: TinyRun.taught.get())
          .train(M2mKD(pairs: [0, 1, 2]), E2E())
      }
      for block in try runs[0].checkpoints() { #expect(try runs[0].bytes(block) == runs[1].bytes(block), "\(block)") }
      #expect(try runs[0].metrics() == runs[1].metrics())
      for row in try runs[0].steps(of: "E2E") { #expect(try #require(row.gradientNorm) > 0) }
    }

    /// The regulariser is part of the loss, and moves signatures.
    @Test(arguments: [hinge, blocks]) func regularisersAct(_ regularizer: String) throws {
      func start(_ regularizer: String) throws -> TinyRun {
        try TinyRun(Self.tiny(regularizer)).train(E2E(block: "scratch", start: .scratch))
      }
      let (with, without) = (try start(regularizer), try start("kind: none"))
      let (a, b) = (try with.steps(of: "E2E scratch")[0], try without.steps(of: "E2E scratch")[0])
      let difference = try #require(a.loss) - #require(b.loss)
      #expect(a.base == b.base && abs(difference) > 1e-4, "\(a) and \(b)")
      let name = "latent_graphs.0.mediator_latents.signatures_"
      #expect(try with.file("scratch").floats(name) != without.file("scratch").floats(name))
    }

    @Test func pairAloneIsThePairOfASweep() throws {
      let taught = try TinyRun.taught.get()
      let together = try TinyRun(Self.tiny(), models: taught).train(M2mKD(pairs: [0, 1, 2]))
      for pair in 0..<3 {
        let alone = try TinyRun(Self.tiny(), models: taught).train(M2mKD(pairs: [pair]))
        #expect(try alone.bytes("student.\(pair)") == together.bytes("student.\(pair)"), "pair \(pair)")
      }
    }

    /// Codes and states come from the seed alone, stay as they are, and are in the module's checkpoint.
    @Test func latentsAreDrawnOnceAndKept() throws {
      let taught = try TinyRun.taught.get()
      let run = try TinyRun(Self.tiny(), models: taught).train(
        M2mKD(pairs: [0, 1, 2]), M2mKD(pairs: [0], block: "alone", alpha: 0))
      for (block, pair) in [("student", 0), ("student", 1), ("student", 2), ("alone", 0)] {
        let file = try run.file("\(block).\(pair)")
        let module = run.recipe.student.module(pair, block: block, settings: run.recipe.settings(.m2mKD))
        let latents = try #require(module.latents)
        let drawn = latents.initialValues(seed: 7, stream: "student.\(pair).latents")
        for part in latents.parameters.flatMap(\.parts) {
          #expect(try file.floats(part.name) == Array(drawn[part.range]), "\(block).\(pair) \(part.name)")
        }
        #expect(file.tensor("codes")?.shape == [1, 12])
        #expect(file.tensor("states")?.shape == (pair == 1 ? nil : [8, 1, 16]))
      }
    }

    struct Stop: Sendable, CustomTestStringConvertible {
      let phase: any Phase
      let regularizer: String
      var testDescription: String { "\(phase.name.rawValue), \(regularizer)" }
    }

    @Test(arguments: [
      Stop(phase: M2mKD(pairs: [0, 1, 2]), regularizer: hinge),
      Stop(phase: E2E(block: "scratch", start: .scratch), regularizer: hinge),
      Stop(phase: E2E(block: "scratch", start: .scratch), regularizer: blocks),
    ]) func stoppedAndContinuedIsUninterrupted(_ stop: Stop) throws {
      let models = stop.phase is E2E ? [:] : try TinyRun.taught.get()
      let tiny = Self.tiny(stop.regularizer, steps: 6)
      let whole = try TinyRun(tiny, models: models).train(stop.phase)
      let parts = try TinyRun(tiny, models: models)
      _ = message { try parts.train(stop.phase, stopAfter: 1) }
      try parts.train(stop.phase, resuming: true)
      for block in try whole.checkpoints() { #expect(try parts.bytes(block) == whole.bytes(block), "\(block)") }
      #expect(try parts.metrics() == whole.metrics())
    }

    /// A step is one submission of what was recorded before; where the host is consulted, it is two.
    @Test(arguments: [hinge, blocks]) func stepsAreRecordedOnce(_ regularizer: String) throws {
      let submissions = regularizer == blocks ? 2 : 1
      let device = try TestDevice.open()
      var tiny = Self.tiny(regularizer, steps: 6)
      tiny.checkpointEvery = 50
      let run = try TinyRun(tiny, device: device)
      let before = Mutex<CallCounter?>(nil)
      let last = Mutex<CallCounter?>(nil)
      run.log.onBegin = { before.withLock { $0 = device.counters } }
      run.log.onStep = { _ in last.withLock { $0 = device.counters } }
      let trainer = Trainer(
        recipe: run.recipe, seed: 7, device: device, images: .init(taught: tinyImages), directory: run.directory,
        reporter: run.log,
        stop: StopFlag())
      try trainer.run(E2E(block: "scratch", start: .scratch).task(run.recipe), resuming: false)
      let first = try #require(before.withLock { $0 })
      var after = try #require(last.withLock { $0 })
      #expect(after.vkQueueSubmit - first.vkQueueSubmit == 6 * submissions)
      after.vkQueueSubmit = first.vkQueueSubmit
      #expect(after == first)
    }

    /// A task of no steps stores what it begins with: modules in their places, the prior's signatures, the rest as from scratch.
    @Test func circuitBeginsAsItsModules() throws {
      let modules = try TinyRun(Self.tiny(), models: TinyRun.taught.get()).train(M2mKD(pairs: [0, 1, 2]))
      let run = try TinyRun(Self.tiny(steps: 0), models: modules.models())
        .train(E2E(), E2E(block: "scratch", start: .scratch))
      let (student, scratch) = (try run.file("student"), try run.file("scratch"))
      let part = run.recipe.student.whole(block: "student", dropPath: 0).model.part
      var taken = 0
      for name in student.names {
        guard let part = part(name) else {
          #expect(try student.floats(name) == scratch.floats(name), "\(name)")
          continue
        }
        taken += 1
        #expect(try student.floats(name) == run.file("student.\(part.module)").floats(part.name), "\(name)")
      }
      #expect(taken > 100 && taken < student.names.count)
      let circuit = try #require(run.recipe.student as? AttentiveCircuit)
      let fitted = try circuit.fitted(#require(circuit.prior), seed: 7)
      #expect(try student.floats("latent_graphs.0.mediator_latents.signatures_") == fitted.signatures.values)
    }

    @Test func studentsOfOtherSizesAreRefused() throws {
      let modules = try TinyRun(Self.tiny(), models: TinyRun.taught.get()).train(M2mKD(pairs: [0, 1, 2])).models()
      let yaml = Self.tiny().yaml.replacing("code: 12", with: "code: 10")
      let recipe = try Recipe(file: "other.yml", text: yaml)
      let run = try TinyRun(Self.tiny(), models: modules)
      let other = try RunDirectory(run.directory.path + "/other", recipe: recipe, seed: 7)
      for (block, bytes) in modules { try bytes.write(to: URL(fileURLWithPath: other.checkpoint(block))) }
      let trainer = Trainer(
        recipe: recipe, seed: 7, device: run.device, images: .init(taught: tinyImages), directory: other,
        reporter: run.log,
        stop: StopFlag())
      let text = message { try trainer.run(E2E().task(recipe), resuming: false) }
      #expect(text.contains("checkpoints/student.0.safetensors: '") && text.contains("12]"), "\(text)")
      #expect(text.contains("but student has [") && text.contains("10]"), "\(text)")
    }

    /// Evaluation draws noise of the seed: it repeats, and another seed draws other.
    @Test func evaluationRepeats() throws {
      let run = try TinyRun(Self.tiny())
      let model = run.recipe.student.whole(block: "student", dropPath: 0).model
      let values = model.layout.initialValues(seed: 7, stream: "student")
      func loss(seed: UInt64) throws -> Double {
        try Evaluator(model, values: values, task: run.recipe.task, seed: seed, device: run.device)
          .run(over: tinyImages).loss
      }
      let first = try loss(seed: 1)
      #expect(try first == loss(seed: 1))
      #expect(try first != loss(seed: 2))
    }
  }
}
