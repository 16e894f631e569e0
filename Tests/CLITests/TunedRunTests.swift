import Foundation
import TestSupport
import Testing

/// Runs that measure their kernels. A suite of its own: it takes as long as all other runs.
@Suite(.serialized, .enabled(if: TestDevice.isPresent, TestDevice.absence))
struct TunedRunTests {
  let scratch: TemporaryDirectory

  init() throws {
    scratch = try TemporaryDirectory()
    try scratch.writeImages()
  }

  /// Kernels are measured once; a later run, and one that was stopped and continued, take the same ones.
  @Test func tunedRunsRepeat() throws {
    try scratch.writeRecipe(steps: 4)
    func run(_ arguments: String...) throws -> Graft.Outcome {
      let outcome = try Graft.start(
        ["run", "recipe.yml", "--output"] + arguments, environment: ["XDG_CACHE_HOME": scratch.file("cache")],
        in: scratch, tuned: true
      ).wait()
      #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome)")
      return outcome
    }
    let first = try run("first")
    let choices = try scratch.bytes("first/tuning.json")
    let tuned = scratch.names("cache/graft").filter { $0.hasPrefix("tuning-") && $0.hasSuffix(".json") }
    #expect(first.output.contains(/\ntuned [0-9]+ of [0-9]+ kernels in [0-9.]+ s\n/) == !tuned.isEmpty, "\(first)")
    let second = try run("second")
    #expect(!second.output.contains("tuned"), "\(second)")
    try scratch.expectSame("second", as: "first")
    #expect(try scratch.bytes("second/tuning.json") == choices)

    // What the cache says now does not reach a run that has begun.
    for name in scratch.names("cache") { try FileManager.default.removeItem(atPath: scratch.file("cache/\(name)")) }
    let stopping = try Graft.start(
      ["run", "recipe.yml", "--output", "first", "--resume", "--controls"],
      environment: ["XDG_CACHE_HOME": scratch.file("cache")], in: scratch, tuned: true)
    #expect(stopping.wait().status == 0)
    let student = "checkpoints/student.safetensors"
    #expect(try scratch.bytes("first/\(student)") == scratch.bytes("second/\(student)"))

    let anew = try Graft.run("run", "recipe.yml", "--output", "second", "--resume", "--retune", in: scratch)
    expectRefusal(anew, "--no-tune and --retune exclude each other", status: 64)
    let late = try Graft.start(
      ["run", "recipe.yml", "--output", "second", "--resume", "--retune"], in: scratch, tuned: true
    ).wait()
    expectRefusal(late, "second holds a run whose kernels are chosen already; --retune is for a new run", status: 1)
    try scratch.write("second/tuning.json", Data("{".utf8))
    expectRefusal(
      try Graft.run("run", "recipe.yml", "--output", "second", "--resume", in: scratch),
      "second/tuning.json is damaged or of another version; remove it", status: 1)
  }
}
