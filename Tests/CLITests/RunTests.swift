import Distillation
import Foundation
import Storage
import TestSupport
import Testing

@Suite(.serialized, .enabled(if: TestDevice.isPresent, TestDevice.absence))
struct RunTests {
  let scratch: TemporaryDirectory

  init() throws {
    scratch = try TemporaryDirectory()
    try scratch.writeImages()
  }

  /// Where the driver's cache has no kernels they are compiled before the first step, on two processors or more.
  @Test(.enabled(if: TestDevice.vectorBits != nil, TestDevice.isNotMesas)) func kernelsAreCompiledAheadOnce() throws {
    try scratch.writeRecipe(steps: 1)
    let cache = ["MESA_SHADER_CACHE_DIR": scratch.file("mesa"), "MESA_SHADER_CACHE_DISABLE": "false"]
    func compiles(_ output: String) throws -> Bool {
      let outcome = try Graft.run(
        "run", "recipe.yml", "--phase", "PT", "--output", output, environment: cache, in: scratch)
      #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome)")
      return outcome.output.contains(/\ncompiled [0-9]+ kernels for the driver's cache in [0-9.]+ s\n/)
    }
    #expect(try compiles("first") == (ProcessInfo.processInfo.activeProcessorCount > 1))
    #expect(try !compiles("second"))
    let names = scratch.names("first/checkpoints")
    #expect(!names.isEmpty && scratch.names("second/checkpoints") == names)
    for name in names {
      #expect(try scratch.bytes("first/checkpoints/\(name)") == scratch.bytes("second/checkpoints/\(name)"), "\(name)")
    }
  }

  /// A process that is killed again and again ends with the bits of one that was left alone; so does one that is asked
  /// to stop.
  @Test func killedAndResumedIsUninterrupted() throws {
    try scratch.writeRecipe(steps: 12)
    let begin = Date()
    let whole = try Graft.run("run", "recipe.yml", "--output", "whole", in: scratch)
    let seconds = Date().timeIntervalSince(begin)
    #expect(whole.status == 0 && whole.errors.isEmpty, "\(whole)")
    let table = whole.output.split(separator: "\n").filter { $0.hasPrefix("|") }
    #expect(table.count == 6, "\(whole.output)")
    #expect(
      scratch.names("whole") == [
        "checkpoints", "curves.svg", "metrics.jsonl", "recipe.yml", "results.md", "tuning.json",
      ])

    for delay in [Double.random(in: 0.1...0.5), .random(in: 0.2...0.6), .random(in: 0.2...0.7)] {
      let resume = scratch.exists("killed/recipe.yml") ? ["--resume"] : []
      let running = try Graft.start(["run", "recipe.yml", "--output", "killed"] + resume, in: scratch)
      usleep(UInt32(1e6 * delay * seconds))
      running.send(SIGKILL)
      let outcome = running.wait()
      #expect(outcome.status == -SIGKILL || outcome.status == 0, "\(outcome)")
    }
    let resume = scratch.exists("killed/recipe.yml") ? ["--resume"] : []
    let last = try Graft.start(["run", "recipe.yml", "--output", "killed"] + resume, in: scratch).wait()
    #expect(last.status == 0, "\(last)")
    try scratch.expectSame("killed", as: "whole")

    let stopping = try Graft.start(["run", "recipe.yml", "--output", "stopped"], in: scratch)
    stopping.wait(for: "\nMT: ")
    stopping.send(SIGINT)
    let stopped = stopping.wait()
    expectRefusal(stopped, "; continue with: graft run recipe.yml --resume --output stopped\n", status: 130)
    #expect(stopped.errors.contains(/stopped in .+ after step \d+, which is stored/), "\(stopped)")
    let state = try #require(scratch.names("stopped/checkpoints").first { $0.hasSuffix(".state.safetensors") })
    expectRefusal(
      try Graft.run("evaluate", "stopped/checkpoints/\(state)", in: scratch), "\(state) holds 'unfinished ", status: 1)
    let continued = try Graft.run("run", "recipe.yml", "--resume", "--output", "stopped", in: scratch)
    #expect(continued.status == 0 && continued.output.contains("PT: done before, kept"), "\(continued)")
    #expect(continued.output.contains("continued after step"))
    try scratch.expectSame("stopped", as: "whole")

    let evaluated = try Graft.run("evaluate", "whole/checkpoints/student.safetensors", in: scratch)
    let top1 = try #require(evaluated.output.firstMatch(of: /top-1 ([0-9.]+ %)/)?.1)
    #expect(table.contains { $0.contains("student, m2mKD") && $0.contains(top1) }, "\(evaluated.output)")
  }

  @Test func directoriesAreNumbered() throws {
    try scratch.writeRecipe(steps: 1)
    for name in ["small-seed3", "small-seed3-2"] {
      let outcome = try Graft.run("run", "recipe.yml", "--seed", "3", in: scratch)
      #expect(outcome.status == 0 && outcome.output.contains("run directory: runs/\(name)\n"), "\(outcome)")
    }
    let first = scratch.names("runs/small-seed3/checkpoints")
    #expect(first == scratch.names("runs/small-seed3-2/checkpoints"))
    let resumed = try Graft.run("run", "recipe.yml", "--seed", "3", "--resume", "--controls", in: scratch)
    #expect(resumed.status == 0 && resumed.output.contains("run directory: runs/small-seed3-2\n"), "\(resumed)")
    #expect(
      Set(scratch.names("runs/small-seed3-2/checkpoints")).subtracting(first)
        == ["alone.0.safetensors", "alone.1.safetensors", "alone.safetensors", "long.safetensors"])
  }

  @Test func phasesOneByOneAreTheWholeRun() throws {
    try scratch.writeRecipe(steps: 2)
    #expect(try Graft.run("run", "recipe.yml", "--output", "whole", in: scratch).status == 0)
    for arguments in [["PT"], ["MT", "--pairs", "1"], ["MT", "--pairs", "0"], ["FT"], ["m2mKD"], ["E2E"]] {
      let outcome = try Graft.start(["run", "recipe.yml", "--output", "parts", "--phase"] + arguments, in: scratch)
        .wait()
      #expect(outcome.status == 0, "\(outcome)")
    }
    // Modules that were trained elsewhere are taken as they are.
    try FileManager.default.createDirectory(
      atPath: scratch.file("copied/checkpoints"), withIntermediateDirectories: true)
    for name in ["meta", "teacher", "student.0", "student.1"].map({ "checkpoints/\($0).safetensors" }) {
      try scratch.write("copied/\(name)", scratch.bytes("whole/\(name)"))
    }
    let copied = try Graft.run("run", "recipe.yml", "--output", "copied", "--phase", "E2E", "--resume", in: scratch)
    #expect(copied.status == 0, "\(copied)")
    let student = "checkpoints/student.safetensors"
    #expect(try scratch.bytes("copied/\(student)") == scratch.bytes("whole/\(student)"))
    for name in scratch.names("whole/checkpoints") where name != "scratch.safetensors" {
      #expect(try scratch.bytes("parts/checkpoints/\(name)") == scratch.bytes("whole/checkpoints/\(name)"), "\(name)")
    }
  }

  @Test func corruptedImagesHaveAColumn() throws {
    try scratch.writeRecipe(extra: "evaluation: {corruptions: [contrast, shot_noise], severity: 5, images: 30}")
    let outcome = try Graft.run("run", "recipe.yml", "--phase", "PT", "--output", "run", in: scratch)
    #expect(outcome.status == 0, "\(outcome)")
    let rows = try JSONLines(scratch.file("run/metrics.jsonl")).rows(as: MetricsRow.self).filter {
      $0.event == .evaluation
    }
    #expect(rows.map(\.split) == ["validation", "test", "test", "test"])
    #expect(rows.map(\.corruption) == [nil, nil, "contrast", "shot_noise"])
    #expect(rows.map(\.severity) == [nil, nil, 5, 5] && rows.map(\.images) == [40, 60, 30, 30])
    let mean = String(format: "%.2f %%", 50 * rows[2...].reduce(0) { $0 + ($1.top1 ?? -1) })
    let table = String(decoding: try scratch.bytes("run/results.md"), as: UTF8.self).split(separator: "\n")
    let cells = table.prefix(3).map { $0.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) } }
    #expect(cells[0][3] == "corrupted top-1" && cells[2][3] == mean, "\(table)")
    #expect(
      table.last == "corrupted: mean over contrast, shot_noise at severity 5, each on 30 test images", "\(table)")
    let evaluated = try Graft.run("evaluate", "run/checkpoints/meta.safetensors", in: scratch)
    #expect(
      evaluated.output.contains("meta: top-1 \(mean) on corrupted test images, severity 5, 30 of each (contrast "))
  }

  @Test func planSaysWhatItTakes() throws {
    try scratch.writeRecipe()
    let outcome = try Graft.run("plan", "recipe.yml", in: scratch)
    #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome)")
    for text in ["small: 2 teaching pairs", "  PT     3 steps of 8 images, ", " FLOPs and ", "together about "] {
      #expect(outcome.output.contains(text), "\(outcome.output)")
    }
    #expect(!scratch.exists("runs"))
    let devices = try Graft.run("devices", in: scratch)
    #expect(devices.status == 0 && devices.output.hasPrefix("* 0: "), "\(devices)")
  }
}
