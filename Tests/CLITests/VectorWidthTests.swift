import Distillation
import Foundation
import GPU
import TestSupport
import Testing

@testable import Tuning

/// The width of a software driver's vectors, with 128 bits as the one that is not its own: every processor has them.
@Suite(.serialized, .enabled(if: (TestDevice.vectorBits ?? 0) > 128, "Mesa's software driver alone has a choice"))
struct VectorWidthTests {
  let scratch: TemporaryDirectory
  /// Of a process that decides for itself.
  private let unset: [String: String]

  init() throws {
    scratch = try TemporaryDirectory()
    try scratch.writeImages()
    unset = [VectorWidth.variable: "", "XDG_CACHE_HOME": scratch.file("cache")]
  }

  /// As if 128 bits had been measured to be faster.
  private func store(driver: String? = nil) throws -> WidthStore {
    let directory = scratch.file("cache/graft")
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    let store = WidthStore(
      directory: URL(fileURLWithPath: directory), environment: ProcessInfo.processInfo.environment)
    let snapshot = try TestDevice.shared.get().snapshot
    store.keep(
      .init(
        driver: driver ?? WidthStore.driver(of: snapshot), kernels: TrialStep.fingerprint, chosen: 128,
        date: "2026-01-01"), for: nil
    ) { Issue.record("\($0)") }
    return store
  }

  private func run(_ arguments: String..., environment: [String: String]) throws -> String {
    let outcome = try Graft.start(arguments, environment: environment, in: scratch, tuned: true).wait()
    #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome)")
    return outcome.output
  }

  @Test func whatWasMeasuredIsTakenUnlessToldOtherwise() throws {
    let own = try #require(TestDevice.vectorBits)
    #expect(try run("devices", environment: unset).contains("vectors of \(own) bits (the driver's own)"))
    let store = try store()
    #expect(try run("devices", environment: unset).contains("vectors of 128 bits (measured)"))
    let set = unset.merging([VectorWidth.variable: "256"]) { $1 }
    #expect(try run("devices", environment: set).contains("vectors of 256 bits (set by LP_NATIVE_VECTOR_WIDTH)"))
    try scratch.writeRecipe(steps: 1)
    #expect(try run("plan", "recipe.yml", environment: unset).contains(", 128 bits)"))
    #expect(try run("plan", "recipe.yml", "--no-tune", environment: unset).contains(", \(own) bits)"))
    #expect(try run("bench", "peak", "--no-peak", "--seconds", "0.01", environment: unset).contains(", 128 bits)"))
    #expect(store.record(for: nil) { _ in } != nil)
  }

  /// Of the processes that a trial compares; nobody asks this one for a step.
  @Test func theProbeNamesItsWidth() throws {
    let probe = try JSONDecoder().decode(
      WidthProbe.self,
      from: Data(try run(WidthProbe.command, environment: [VectorWidth.variable: "128"]).utf8))
    let snapshot = try TestDevice.shared.get().snapshot
    #expect(probe.bits == 128 && probe.driver == WidthStore.driver(of: snapshot))
  }

  /// Runs before and after must take the same vectors, or their numbers differ.
  @Test(.enabled(if: Processor.current.has512Bits, "the processor has no vectors of 512 bits to try"))
  func aTrialThatFailedIsNotRepeated() throws {
    let own = try #require(TestDevice.vectorBits)
    let arguments = ["bench", "peak", "--no-peak", "--seconds", "0.01"]
    let first = try Graft.start(arguments, environment: unset, in: scratch, tuned: true)
    // The second one starts when the first has answered.
    var probes: [Int32] = []
    while first.isRunning, probes.count < 2 { probes = first.children }
    kill(try #require(probes.first), SIGKILL)
    let (outcome, reason) = (first.wait(), "vectors of 512 bits are left out: no answer with \(own)")
    #expect(outcome.status == 0 && outcome.output.contains(reason), "\(outcome)")
    let second = try Graft.start(arguments, environment: unset, in: scratch, tuned: true).wait().output
    #expect(second.contains(", \(own) bits)") && !second.contains("vectors of 512 bits"), "\(second)")
  }

  /// It is known too late for this process, and in time for the next.
  @Test func whatWasMeasuredWithAnotherDriverIsForgotten() throws {
    let own = try #require(TestDevice.vectorBits)
    let store = try store(driver: "another")
    try scratch.writeRecipe(steps: 1)
    #expect(try run("plan", "recipe.yml", environment: unset).contains(", 128 bits)"))
    #expect(store.record(for: nil) { _ in } == nil)
    #expect(try run("plan", "recipe.yml", environment: unset).contains(", \(own) bits)"))
  }

  @Test func aContinuedRunKeepsItsVectors() throws {
    let own = try #require(TestDevice.vectorBits)
    try scratch.writeRecipe(steps: 12)
    let narrow = unset.merging([VectorWidth.variable: "128"]) { $1 }
    let whole = try run("run", "recipe.yml", "--no-tune", "--output", "whole", environment: narrow)
    #expect(whole.contains(", 128 bits)"))

    let stopping = try Graft.start(["run", "recipe.yml", "--output", "stopped"], environment: narrow, in: scratch)
    stopping.wait(for: "\nMT: ")
    stopping.send(SIGINT)
    #expect(stopping.wait().status == 130)
    // What --no-tune would take comes second.
    let part = try run(
      "run", "recipe.yml", "--resume", "--output", "stopped", "--phase", "MT", "--no-tune", environment: unset)
    #expect(part.contains(", 128 bits)") && !part.contains("began with"), "\(part)")
    let rest = try run("run", "recipe.yml", "--resume", "--output", "stopped", environment: unset)
    #expect(rest.contains(", 128 bits)"))
    let names = scratch.names("whole/checkpoints")
    #expect(scratch.names("stopped/checkpoints") == names)
    for name in names {
      #expect(
        try scratch.bytes("stopped/checkpoints/\(name)") == scratch.bytes("whole/checkpoints/\(name)"), "\(name)")
    }

    // A person has the last word, and is told what it means.
    let wide = unset.merging([VectorWidth.variable: "256"]) { $1 }
    let changed = try run("run", "recipe.yml", "--resume", "--output", "stopped", environment: wide)
    #expect(changed.contains("stopped began with vectors of 128 bits and goes on with 256"), "\(changed)")
    // Without a record of it, a run that was begun had the driver's own.
    try FileManager.default.removeItem(atPath: scratch.file("stopped/tuning.json"))
    _ = try store()
    let old = try run("run", "recipe.yml", "--resume", "--output", "stopped", environment: unset)
    #expect(old.contains(", \(own) bits)") && !old.contains("began with"), "\(old)")
  }
}
