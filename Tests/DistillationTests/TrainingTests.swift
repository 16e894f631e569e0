import Distillation
import Foundation
import GPU
import Graph
import Images
import Storage
import Synchronization
import TestSupport
import Testing
import Tuning

extension OnDevice {
  @Suite struct TrainingTests {
    /// Command buffers, descriptors and memory are made before the first step; a step is one submission.
    @Test func stepsAreRecordedOnce() throws {
      let device = try TestDevice.open()
      let tiny = TinyRecipe(steps: 6, accumulate: 2, dropPath: "0.3", clip: "1.0")
      let run = try TinyRun(tiny, models: TinyRun.taught.get(), device: device)
      let counts = Mutex<[CallCounter]>([])
      run.log.onBegin = { counts.withLock { $0.append(device.counters) } }
      let steps = Mutex<[CallCounter]>([])
      let trainer = Trainer(
        recipe: run.recipe, seed: 7, device: device, images: .init(taught: tinyImages), directory: run.directory,
        reporter: run.log,
        stop: StopFlag())
      run.log.onStep = { _ in steps.withLock { $0.append(device.counters) } }
      try trainer.run(M2mKD(pairs: [0, 1, 2]).task(run.recipe), resuming: false)
      let before = try #require(counts.withLock { $0.first })
      let after = steps.withLock { $0 }
      #expect(before.vkBeginCommandBuffer > 0 && before.vkUpdateDescriptorSets > 100 && before.vkAllocateMemory > 0)
      // Results are read two steps late: when step 1 is reported, 3 are submitted; at the end nothing new is.
      #expect(after.map { $0.vkQueueSubmit - before.vkQueueSubmit } == [3, 4, 5, 6, 6, 6])
      for var counted in after {
        counted.vkQueueSubmit = before.vkQueueSubmit
        #expect(counted == before)
      }
    }

    @Test func lossFalls() throws {
      let run = try TinyRun(TinyRecipe(steps: 80, rate: "3.0e-3")).train(PT())
      let losses = try run.steps(of: "PT").compactMap(\.loss)
      #expect(losses.count == 80)
      let (first, last) = (losses.prefix(3).reduce(0, +), losses.suffix(3).reduce(0, +))
      #expect(last < 0.9 * first, "\(losses)")
    }

    @Test func sameSeedSameBits() throws {
      let tiny = TinyRecipe(accumulate: 2, dropPath: "0.3", clip: "0.5")
      let a = try TinyRun(tiny).train(PT(), MT(pairs: [0, 1, 2]), FT(), M2mKD(pairs: [0, 1, 2]), E2E())
      let b = try TinyRun(tiny).train(PT(), MT(pairs: [0, 1, 2]), FT(), M2mKD(pairs: [0, 1, 2]), E2E())
      #expect(
        try a.checkpoints() == [
          "meta", "student", "student.0", "student.1", "student.2", "teacher", "teacher.0", "teacher.1", "teacher.2",
        ])
      for block in try a.checkpoints() { #expect(try a.bytes(block) == b.bytes(block), "\(block)") }
      #expect(try a.metrics() == b.metrics())
    }

    @Test func anotherSeedOtherBits() throws {
      let run = try TinyRun(TinyRecipe()).train(PT())
      let other = try TinyRun(TinyRecipe())
      try Trainer(
        recipe: other.recipe, seed: 8, device: other.device, images: .init(taught: tinyImages),
        directory: other.directory,
        reporter: other.log, stop: StopFlag()
      ).run(PT().task(other.recipe), resuming: false)
      #expect(try run.values("meta") != other.values("meta"))
    }

    struct Sweep: Sendable, CustomTestStringConvertible {
      let phase: @Sendable ([Int]) -> any Phase
      let block: String
      let tiny: TinyRecipe
      let testDescription: String

      static let all = [
        Sweep(phase: { MT(pairs: $0) }, block: "teacher", tiny: TinyRecipe(), testDescription: "MT"),
        Sweep(
          phase: { MT(pairs: $0) }, block: "teacher", tiny: TinyRecipe(accumulate: 2, dropPath: "0.4"),
          testDescription: "MT, drop path, accumulated"),
        Sweep(phase: { M2mKD(pairs: $0) }, block: "student", tiny: TinyRecipe(), testDescription: "soft m2mKD"),
        Sweep(
          phase: { M2mKD(pairs: $0) }, block: "student", tiny: TinyRecipe(distillation: "hard"),
          testDescription: "hard m2mKD"),
        Sweep(
          phase: { M2mKD(pairs: $0) }, block: "student",
          tiny: TinyRecipe(student: [1, 2, 1], accumulate: 2, dropPath: "0.4", clip: "0.5"),
          testDescription: "soft m2mKD, drop path, accumulated, clipped"),
      ]
    }

    @Test(arguments: Sweep.all) func pairAloneIsThePairOfASweep(_ sweep: Sweep) throws {
      let taught = try TinyRun.taught.get()
      let together = try TinyRun(sweep.tiny, models: taught).train(sweep.phase([0, 1, 2]))
      for pair in [1, 2] {
        let alone = try TinyRun(sweep.tiny, models: taught).train(sweep.phase([pair]))
        #expect(try alone.bytes("\(sweep.block).\(pair)") == together.bytes("\(sweep.block).\(pair)"), "pair \(pair)")
      }
      // A pair that did not move would be equal too.
      let start = try TinyRun(TinyRecipe(student: sweep.tiny.student, steps: 0), models: taught).train(sweep.phase([1]))
      #expect(try start.values("\(sweep.block).1") != together.values("\(sweep.block).1"))
    }

    /// The same holds for kernels that are not the default.
    @Test func chosenKernelsAreTheSameForAPairAlone() throws {
      let (taught, tiny) = (try TinyRun.taught.get(), TinyRecipe())
      let device = try TestDevice.shared.get()
      let step = try StepProgram(M2mKD(pairs: [0, 1, 2]).task(try tiny.recipe()), recipe: try tiny.recipe())
      var last = Choices.defaults
      for site in TuningSite.of([(step.program, 1)], traits: device.traits) {
        let fitting = site.variants.last { $0.misfit(site.op, site.site) == nil }
        last.names[site.key] = try #require(fitting).name
      }
      let together = try TinyRun(tiny, models: taught, choices: last).train(M2mKD(pairs: [0, 1, 2]))
      let alone = try TinyRun(tiny, models: taught, choices: last).train(M2mKD(pairs: [1]))
      #expect(try alone.bytes("student.1") == together.bytes("student.1"))
      let plain = try TinyRun(tiny, models: taught).train(M2mKD(pairs: [1]))
      let pairs = zip(try alone.values("student.1"), try plain.values("student.1"))
      #expect(pairs.allSatisfy { abs($0 - $1) < 1e-3 })
    }

    /// Products by matrix units train as those in f32 do, but for what f16 loses; and with the same bits again.
    @Test(.enabled(if: TestDevice.hasMatrixUnits, TestDevice.noMatrixUnits))
    func mixedPrecisionTrains() throws {
      let (taught, tiny) = (try TinyRun.taught.get(), TinyRecipe(steps: 20, rate: "3.0e-3"))
      let device = try TestDevice.mixed.get()
      let step = try StepProgram(M2mKD(pairs: [1]).task(try tiny.recipe()), recipe: try tiny.recipe())
      var matrices = Choices.defaults
      for site in TuningSite.of([(step.program, 1)], traits: device.traits) {
        matrices.names[site.key] = site.variants.last(where: \.roundsFactors)?.name
      }
      #expect(matrices.names.count > 10)
      let plain = try TinyRun(tiny, models: taught).train(M2mKD(pairs: [1]))
      let mixed = try (0..<2).map { _ in
        try TinyRun(tiny, models: taught, device: device, choices: matrices).train(M2mKD(pairs: [1]))
      }
      #expect(try mixed[0].bytes("student.1") == mixed[1].bytes("student.1"))
      #expect(try mixed[0].values("student.1") != plain.values("student.1"))
      let losses = try [plain, mixed[0]].map { try $0.steps(of: "m2mKD").compactMap(\.loss) }
      #expect(losses[0].count == 20)
      for (plain, mixed) in zip(losses[0], losses[1]) { #expect(abs(plain - mixed) < 0.01 * plain, "\(losses)") }
    }

    /// The teacher's term is there, and its form matters.
    @Test func distillationKindsDiffer() throws {
      let taught = try TinyRun.taught.get()
      let runs = try ["soft", "hard"].map {
        try TinyRun(TinyRecipe(distillation: $0), models: taught).train(
          M2mKD(pairs: [1]), M2mKD(pairs: [1], block: "alone", alpha: 0))
      }
      #expect(try runs[0].values("student.1") != runs[1].values("student.1"))
      #expect(try runs[0].values("student.1") != runs[0].values("alone.1"))
      #expect(try runs[0].values("alone.1") == runs[1].values("alone.1"))
      for row in try runs[0].steps(of: "m2mKD") { #expect(try #require(row.distillation) > 0) }
    }

    @Test func frozenModelsStayAsTheyWere() throws {
      let taught = try TinyRun.taught.get()
      let run = try TinyRun(TinyRecipe(), models: taught)
      let before = try run.models()
      try run.train(M2mKD(pairs: [0, 1, 2]), E2E())
      for (block, bytes) in before { #expect(try run.bytes(block) == bytes, "\(block)") }
      #expect(
        Set(try run.checkpoints()).subtracting(before.keys) == ["student", "student.0", "student.1", "student.2"])
    }

    /// Two micro-batches of 4 are one batch of 8, but for the order of additions.
    @Test(arguments: [MT(pairs: [0, 2]) as any Phase, M2mKD(pairs: [1])]) func accumulationIsALargerBatch(
      _ phase: any Phase
    ) throws {
      let taught = try TinyRun.taught.get()
      // Adam divides the gradient by its own size: noise becomes a whole step unless eps is above it.
      func train(_ batch: Int, _ accumulate: Int) throws -> TinyRun {
        try TinyRun(TinyRecipe(steps: 2, batch: batch, accumulate: accumulate, eps: "1.0e-3"), models: taught).train(
          phase)
      }
      let (whole, parts, half) = (try train(8, 1), try train(4, 2), try train(4, 1))
      for (a, b) in zip(try whole.steps(of: phase.name.rawValue), try parts.steps(of: phase.name.rawValue)) {
        for quantity in [\MetricsRow.loss, \.base, \.distillation, \.gradientNorm] {
          let (x, y) = (try #require(a[keyPath: quantity]), try #require(b[keyPath: quantity]))
          #expect(abs(x - y) < 2e-5 * max(1, abs(x)), "step \(a.step): \(x) and \(y)")
        }
      }
      #expect(try whole.steps(of: phase.name.rawValue)[0].loss != half.steps(of: phase.name.rawValue)[0].loss)
      for block in try whole.checkpoints() {
        let (a, b) = (try whole.values(block), try parts.values(block))
        #expect(a.count == b.count && zip(a, b).allSatisfy { abs($0 - $1) < 1e-4 }, "\(block)")
      }
    }
  }
}
