import Distillation
import Foundation
import TestSupport
import Testing

extension OnDevice {
  @Suite struct ProfileTests {
    private struct Event: Decodable {
      struct Arguments: Decodable {
        var step: Int?
        var shapes: String?
      }
      let name: String
      let cat: String?
      let ph: String
      let pid: Int
      let tid: Int
      let ts: Double?
      let dur: Double?
      let args: Arguments

      var begin: Double { ts ?? .nan }
      var end: Double { begin + (dur ?? .nan) }
    }

    private struct Trace: Decodable {
      let traceEvents: [Event]
      let otherData: [String: String]
    }

    private struct Profile: Decodable {
      struct Task: Decodable {
        let task: String
        let steps: Int
        let wallMs: Double?
        let deviceMs: Double?
        let ops: [Row]
      }
      struct Row: Decodable {
        let op: String
        let count: Int
        let ms: Double
        let share: Double
        let gflops: Double
      }
      let tasks: [Task]
    }

    private func read<T: Decodable>(_ run: TinyRun, _ name: String) throws -> T {
      let decoder = JSONDecoder()
      decoder.keyDecodingStrategy = .convertFromSnakeCase
      return try decoder.decode(T.self, from: Data(contentsOf: URL(fileURLWithPath: "\(run.directory.path)/\(name)")))
    }

    /// Steps 3 to 10 are measured, add up, lie within each other, and are the steps of a run that nobody measures.
    @Test func measuredStepsAddUpAndStayTheSame() throws {
      let tiny = TinyRecipe(steps: 12, accumulate: 2, dropPath: "0.3", clip: "0.5")
      let device = try TestDevice.shared.get()
      let plain = try TinyRun(tiny).train(PT(), MT(pairs: [0, 1, 2]))
      let run = try TinyRun(tiny).train(PT(), MT(pairs: [0, 1, 2]), profile: RunProfile(device))
      #expect(try run.checkpoints().count == 4)
      for block in try run.checkpoints() { #expect(try run.bytes(block) == plain.bytes(block), "\(block)") }
      #expect(try run.metrics() == plain.metrics())

      let profile: Profile = try read(run, "profile.json")
      #expect(profile.tasks.map(\.task) == ["PT", "MT"])
      for task in profile.tasks {
        #expect(task.steps == 8 && (task.wallMs ?? 0) > 0)
        guard device.plan.hasTimestamps else { continue }
        let total = try #require(task.deviceMs)
        #expect(total > 0)
        #expect(abs(task.ops.reduce(0) { $0 + $1.ms } - total) < 1e-6 * total)
        #expect(abs(task.ops.reduce(0) { $0 + $1.share } - 1) < 1e-6)
        #expect(task.ops.contains { $0.op == "matmul" && $0.gflops > 0 })
        #expect(task.ops.contains { $0.op == "adamw" })
      }

      let trace: Trace = try read(run, "trace.json")
      let spans = trace.traceEvents.filter { $0.ph == "X" }
      #expect(spans.allSatisfy { $0.begin >= 0 && $0.end >= $0.begin })
      #expect(Set(spans.compactMap(\.args.step)) == Set(3...10))
      for name in ["gather", "batch", "feed", "submit", "wait", "metrics"] {
        #expect(spans.filter { $0.pid == 1 && $0.name == name && $0.cat == "PT" }.count == 8, "\(name)")
      }
      // On a thread two spans are apart, or one lies in the other.
      let threads = Dictionary(grouping: spans) { "\($0.pid) \($0.tid)" }
      #expect(Set(threads.keys) == (device.plan.hasTimestamps ? ["1 1", "1 2", "2 1"] : ["1 1", "1 2"]))
      for spans in threads.values {
        var open: [Event] = []
        for span in spans.sorted(by: { ($0.begin, -$0.end) < ($1.begin, -$1.end) }) {
          while let last = open.last, last.end <= span.begin + 1e-3 { open.removeLast() }
          if let last = open.last {
            #expect(span.end <= last.end + 1e-3, "\(span.name) \(span.args.step ?? 0) and \(last.name)")
          }
          open.append(span)
        }
      }
      guard device.plan.hasTimestamps else { return }
      #expect(trace.otherData["clocks"]?.contains("device: ") == true)
      // On the host's clock a step runs after it was submitted and before its results were there.
      for step in spans where step.pid == 2 && step.args.shapes == nil {
        let own = spans.filter { $0.pid == 1 && $0.cat == step.cat && $0.args.step == step.args.step }
        let submit = try #require(own.first { $0.name == "submit" })
        let wait = try #require(own.first { $0.name == "wait" })
        #expect(step.begin > submit.begin - 50 && step.end < wait.end + 50, "\(step.name)")
        let ops = spans.filter {
          $0.pid == 2 && $0.args.shapes != nil && $0.cat == step.cat && $0.args.step == step.args.step
        }
        #expect(ops.count > 20 && abs(ops.reduce(0) { $0 + ($1.dur ?? 0) } - (step.dur ?? 0)) < 1)
      }
    }

    /// A task of fewer steps than are skipped has nothing to measure, and says so.
    @Test func shortTasksAreNoError() throws {
      let run = try TinyRun(TinyRecipe(steps: 2)).train(PT(), profile: RunProfile(TestDevice.shared.get()))
      let profile: Profile = try read(run, "profile.json")
      #expect(profile.tasks.map(\.steps) == [0] && profile.tasks[0].ops.isEmpty)
      let text = try String(contentsOfFile: "\(run.directory.path)/profile.md", encoding: .utf8)
      #expect(text.contains("0 steps measured: too few steps"))
    }
  }
}
