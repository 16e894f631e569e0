import Distillation
import Foundation
import Storage
import Testing

extension OnDevice {
  @Suite struct ResumeTests {
    struct Stop: Sendable, CustomTestStringConvertible {
      let phase: any Phase
      let tiny: TinyRecipe
      let step: Int
      var testDescription: String { "\(phase.name.rawValue) after \(step)" }

      static let tiny = TinyRecipe(steps: 6, accumulate: 2, dropPath: "0.3", clip: "0.5", checkpointEvery: 2)
      static let augmented = TinyRecipe(
        steps: 6, accumulate: 2, checkpointEvery: 2,
        augmentation: "crop: 0.08, flip: 0.5, rand_augment: 9, erasing: 0.25, mixup: 0.8, cutmix: 1.0")
      static let all = [
        Stop(phase: PT(), tiny: tiny, step: 1), Stop(phase: MT(pairs: [0, 1, 2]), tiny: tiny, step: 2),
        Stop(phase: M2mKD(pairs: [0, 2]), tiny: tiny, step: 3),
        Stop(phase: PT(), tiny: augmented, step: 3), Stop(phase: M2mKD(pairs: [1]), tiny: augmented, step: 2),
      ]
    }

    @Test(arguments: Stop.all) func stoppedAndContinuedIsUninterrupted(_ stop: Stop) throws {
      let models = stop.phase is PT ? [:] : try TinyRun.taught.get()
      let whole = try TinyRun(stop.tiny, models: models).train(stop.phase)
      let parts = try TinyRun(stop.tiny, models: models)
      let stopped = message { try parts.train(stop.phase, stopAfter: stop.step) }
      #expect(stopped.hasPrefix("stopped in \(stop.phase.name.rawValue) after step "))
      let state = parts.directory.state(stop.phase.name.rawValue)
      #expect(FileManager.default.fileExists(atPath: state))
      #expect(try parts.checkpoints() == models.keys.sorted())
      let done = try parts.steps(of: stop.phase.name.rawValue).map(\.step).max() ?? 0
      #expect(stop.step...stop.step + 3 ~= done && done < 6)

      // What a kill leaves behind: rows of steps that the stored state knows nothing of.
      var lost = MetricsRow(
        event: .step, task: stop.phase.name.rawValue, block: whole.trainedBlocks(of: stop.phase)[0], step: done + 1)
      lost.loss = 42
      try parts.directory.metrics.append(lost)
      try parts.train(stop.phase, resuming: true)
      for block in try whole.checkpoints() { #expect(try parts.bytes(block) == whole.bytes(block), "\(block)") }
      #expect(try parts.metrics() == whole.metrics())
      #expect(!FileManager.default.fileExists(atPath: state))
    }

    @Test func whatIsDoneIsKept() throws {
      let run = try TinyRun(TinyRecipe()).train(PT())
      let before = try run.bytes("meta")
      let rows = try run.metrics()
      try Data("left over".utf8).write(to: URL(fileURLWithPath: run.directory.state("PT")))
      try run.train(PT(), resuming: true)
      #expect(run.log.notes == ["PT: done before, kept"])
      #expect(!FileManager.default.fileExists(atPath: run.directory.state("PT")))
      let refusal = message { try run.train(PT()) }
      #expect(refusal.contains("meta.safetensors exists; continue from it with --resume, or remove it"), "\(refusal)")
      #expect(try run.bytes("meta") == before)
      #expect(try run.metrics() == rows)
    }

    @Test func stoppedTaskIsNotBegunAgain() throws {
      let run = try TinyRun(TinyRecipe(steps: 20))
      _ = message { try run.train(PT(), stopAfter: 2) }
      let state = try Data(contentsOf: URL(fileURLWithPath: run.directory.state("PT")))
      #expect(message { try run.train(PT()) }.contains("PT.state.safetensors exists"))
      #expect(try Data(contentsOf: URL(fileURLWithPath: run.directory.state("PT"))) == state)
    }

    /// Pairs may be trained one after the other in any order; none loses its rows or its values.
    @Test func pairsTrainedOneByOne() throws {
      let taught = try TinyRun.taught.get()
      let together = try TinyRun(TinyRecipe(), models: taught).train(M2mKD(pairs: [0, 1, 2]), E2E())
      let apart = try TinyRun(TinyRecipe(), models: taught).train(
        M2mKD(pairs: [1]), M2mKD(pairs: [2, 0]), E2E())
      for block in try together.checkpoints() { #expect(try apart.bytes(block) == together.bytes(block), "\(block)") }
      let steps = try apart.steps(of: "m2mKD").map { "\($0.block) \($0.step)" }
      #expect(
        steps == ["student.1 1", "student.1 2", "student.1 3"]
          + (1...3).flatMap { ["student.2 \($0)", "student.0 \($0)"] })
    }

    @Test func stateOfOtherPairsIsRefused() throws {
      let taught = try TinyRun.taught.get()
      let run = try TinyRun(TinyRecipe(steps: 20), models: taught)
      _ = message { try run.train(M2mKD(pairs: [1]), stopAfter: 1) }
      let refusal = message { try run.train(M2mKD(pairs: [0, 1]), resuming: true) }
      #expect(
        refusal.contains(
          "m2mKD.state.safetensors holds unfinished student.1 with seed 7, not unfinished student.0 student.1"),
        "\(refusal)")
    }

    @Test func damagedStateIsNamed() throws {
      let run = try TinyRun(TinyRecipe(steps: 20))
      _ = message { try run.train(PT(), stopAfter: 1) }
      let path = run.directory.state("PT")
      var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
      bytes[bytes.count - 1] ^= 1
      try bytes.write(to: URL(fileURLWithPath: path))
      #expect(message { try run.train(PT(), resuming: true) }.hasPrefix("\(path): corrupt: CRC-32"))
    }
  }
}

extension TinyRun {
  func trainedBlocks(of phase: any Phase) -> [String] { phase.task(recipe).trained.map(\.block) }
}
