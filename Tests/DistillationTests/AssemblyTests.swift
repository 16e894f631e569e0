import Distillation
import Foundation
import Storage
import Testing

extension OnDevice {
  @Suite struct AssemblyTests {
    /// Where a tensor of the assembled model comes from, spelled out independently of the library.
    static func origin(of name: String) -> (pair: Int, name: String) {
      for pair in 0..<3 where name.hasPrefix("stages.\(pair).") {
        return (pair, "stages.0." + name.dropFirst("stages.\(pair).".count))
      }
      return (0, name)
    }

    /// A task of no steps stores what it begins with.
    @Test(arguments: [true, false]) func studentBeginsAsItsModules(keepsStitches: Bool) throws {
      let tiny = TinyRecipe(student: [1, 2, 1], keepsStitches: keepsStitches, steps: 2)
      let modules = try TinyRun(tiny, models: TinyRun.taught.get()).train(M2mKD(pairs: [0, 1, 2]))
      let stored = try modules.models()
      var start = tiny
      start.steps = 0
      let student = try TinyRun(start, models: stored).train(E2E()).file("student")
      var seen: [Set<String>] = [[], [], []]
      for name in student.names {
        let (pair, part) = Self.origin(of: name)
        let module = try modules.file("student.\(pair)")
        #expect(try student.floats(name) == module.floats(part), "\(name)")
        #expect(student.tensor(name)?.shape == module.tensor(part)?.shape, "\(name)")
        seen[pair].insert(part)
      }
      for pair in 0..<3 {
        let left = Set(try modules.file("student.\(pair)").names).subtracting(seen[pair])
        let stitches = left.filter { $0.contains("_stitch.") }
        #expect(left == stitches, "only stitches may be dropped")
        #expect(stitches.count == (keepsStitches ? 0 : pair == 1 ? 8 : 4))
      }
      try TinyRun(tiny, models: stored).train(E2E())
    }

    @Test func teacherBeginsAsItsModules() throws {
      let modules = try TinyRun(TinyRecipe(), models: TinyRun.taught.get().filter { $0.key == "meta" })
        .train(MT(pairs: [0, 1, 2])).models()
      let start = try TinyRun(TinyRecipe(steps: 0), models: modules)
      let teacher = try start.train(FT()).file("teacher")
      #expect(teacher.names.count > 40)
      for name in teacher.names {
        let (pair, part) = Self.origin(of: name)
        #expect(try teacher.floats(name) == start.file("teacher.\(pair)").floats(part), "\(name)")
      }
    }

    @Test func missingModelSaysWhichPhaseMakesIt() throws {
      let run = try TinyRun(TinyRecipe())
      let text = message { try run.train(MT(pairs: [0])) }
      #expect(
        text.hasSuffix(
          "/checkpoints/meta.safetensors is missing: run the phase that trains meta first, or copy it here"))
    }

    @Test func modelOfAnotherSizeIsRefused() throws {
      let run = try TinyRun(TinyRecipe(features: 24), models: TinyRun.taught.get())
      let text = message { try run.train(M2mKD(pairs: [1])) }
      #expect(text == "\(run.directory.checkpoint("meta")): 'cls_token' is [1, 1, 16], but meta has [1, 1, 24]")
      let deeper = try TinyRun(TinyRecipe(meta: [1, 2, 1]), models: TinyRun.taught.get())
      let missing = message { try deeper.train(MT(pairs: [1])) }
      #expect(missing.contains("meta.safetensors: no tensor 'stages.1.blocks.1."), "\(missing)")
    }

    @Test func numbersThatExplodeAreTracedToTheirOp() throws {
      let run = try TinyRun(TinyRecipe(steps: 3)).train(PT())
      let stored = try run.bytes("meta")
      let task = MT(pairs: [0, 1, 2])
      let wild = try TinyRun(TinyRecipe(steps: 20, rate: "1.0e+30", checkpointEvery: 1), models: ["meta": stored])
      let text = message { try wild.train(task) }
      let expected =
        /MT, step (\d+): the (loss|gradient norm) of teacher.\d is not finite; the first op with such a value is [a-z_]+ .*; lower the learning rate \(.*\) or clip gradients/
      let match = try #require(text.wholeMatch(of: expected), "\(text)")
      let step = try #require(Int(match.1))
      #expect(step > 1 && step < 10)
      // Nothing of the failed step is stored, and what was stored before is whole.
      #expect(try wild.checkpoints() == ["meta"])
      #expect(try wild.bytes("meta") == stored)
      let state = try Safetensors(reading: wild.directory.state("MT"))
      for name in state.names { #expect(try state.floats(name).allSatisfy(\.isFinite), "\(name)") }
      #expect(try wild.steps(of: "MT").allSatisfy { $0.step < step })
    }
  }
}
