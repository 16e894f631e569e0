import Foundation
import GPU
import Graph
import Storage
import Synchronization

/// Where the time of a run's steps goes, from a few steps of each task: a table by op, and a trace.
package final class RunProfile: Sendable {
  /// Which steps are measured, counted from where a task begins: the first ones also warm up caches.
  static let measured = 2..<10

  private let device: Device
  private let tasks = Mutex<[TaskProfile]>([])

  package init(_ device: Device) { self.device = device }

  /// What collects the measurements of a task.
  func task(_ name: String, from first: Int, layout: PlanLayout) -> TaskProfile {
    let steps = first + Self.measured.lowerBound..<first + Self.measured.upperBound
    let task = TaskProfile(name, steps: steps, layout: layout, device: device)
    tasks.withLock { $0.append(task) }
    return task
  }

  /// Writes profile.json, profile.md and trace.json of all tasks so far.
  func write(to directory: RunDirectory) throws(RunError) {
    let tasks = self.tasks.withLock { $0 }
    let snapshot = device.snapshot
    let report = ProfileReport(
      device: snapshot.name, driver: "\(snapshot.driverName) \(snapshot.driverInfo)",
      clock: device.plan.hasTimestamps
        ? "time stamps of the device after every op" : "the host's, per step: the device has no time stamps",
      tasks: tasks.map(\.table))
    var trace = Trace()
    trace.otherData = [
      "device": report.device, "driver": report.driver,
      "clocks": tasks.last?.alignment ?? "host: CLOCK_MONOTONIC",
    ]
    for task in tasks { task.add(to: &trace) }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let (profile, events) = try attempt { () throws(any Error) in
      (try encoder.encode(report), try encoder.encode(trace))
    }
    for (name, bytes) in [
      ("profile.json", Array(profile)), ("profile.md", Array(report.text.utf8)), ("trace.json", Array(events)),
    ] {
      try attempt { () throws(StorageError) in
        try AtomicFile.write(to: "\(directory.path)/\(name)") { (file) throws(StorageError) in try file.write(bytes) }
      }
    }
  }
}

/// What was measured in one task.
final class TaskProfile: Sendable {
  enum Thread: Int, Sendable {
    case training = 1
    case prefetch = 2
  }

  let steps: Range<Int>
  private let name: String
  private let layout: PlanLayout
  private let hasTimestamps: Bool
  /// Seconds to add to the device's clock to get the host's, where the driver says.
  private let calibration: Double?
  private let state = Mutex(State())

  private struct Span {
    let name: String
    let step: Int
    let thread: Thread
    let begin: Double
    let end: Double
  }

  private struct State {
    var spans: [Span] = []
    var device: [(step: Int, start: Double, ends: [Double])] = []
  }

  init(_ name: String, steps: Range<Int>, layout: PlanLayout, device: Device) {
    self.name = name
    self.steps = steps
    self.layout = layout
    hasTimestamps = device.plan.hasTimestamps
    calibration = device.calibratedClocks().map { $0.host - $0.device }
  }

  // MARK: Measuring

  /// Seconds of CLOCK_MONOTONIC, the clock that drivers relate theirs to.
  func begin() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + 1e-9 * Double(time.tv_nsec)
  }

  /// Notes what has taken since `begin`, if it was for a measured step.
  func end(_ name: String, _ begin: Double?, step: Int, thread: Thread = .training) {
    guard let begin, steps.contains(step) else { return }
    let span = Span(name: name, step: step, thread: thread, begin: begin, end: self.begin())
    state.withLock { $0.spans.append(span) }
  }

  /// Reads the time stamps of a finished step.
  func collect(_ run: Plan.Run, step: Int) throws(VulkanError) {
    guard steps.contains(step), let times = try run.opTimes() else { return }
    state.withLock { $0.device.append((step, times.start, times.ends)) }
  }

  // MARK: Reporting

  /// How device time is shown on the host's clock.
  var alignment: String {
    if !hasTimestamps { return "host: CLOCK_MONOTONIC; the device has no time stamps" }
    return calibration == nil
      ? "host: CLOCK_MONOTONIC; device: aligned at submission, so that no step begins before it was submitted"
      : "host: CLOCK_MONOTONIC; device: calibrated against it by VK_EXT_calibrated_timestamps"
  }

  private func deviceOffset(_ state: State) -> Double {
    if let calibration { return calibration }
    let submitted = Dictionary(
      state.spans.filter { $0.name == "submit" }.map { ($0.step, $0.begin) }, uniquingKeysWith: min)
    return state.device.compactMap { step in submitted[step.step].map { $0 - step.start } }.max() ?? 0
  }

  private func shapes(_ node: Graph.Node) -> String {
    let shapes = node.inputs.prefix(3).map { layout.program.types[$0].description }
    return shapes.joined(separator: " ") + (node.inputs.count > 3 ? " …" : "")
  }

  /// The mean over the measured steps, by op and shapes.
  var table: ProfileReport.Task {
    let state = self.state.withLock { $0 }
    let measured = Double(max(1, state.device.count))
    var rows: [String: ProfileReport.Row] = [:]
    for (i, node) in layout.program.nodes.enumerated() where !state.device.isEmpty {
      let seconds = state.device.reduce(0.0) { $0 + $1.ends[i] - (i > 0 ? $1.ends[i - 1] : 0) } / measured
      let cost = layout.program.cost(of: node)
      let shapes = shapes(node)
      var row = rows["\(node.op.name) \(shapes)"] ?? ProfileReport.Row(op: node.op.name, shapes: shapes)
      row.count += 1
      row.milliseconds += 1e3 * seconds
      row.flops += cost.flops
      row.bytes += cost.bytes
      rows["\(node.op.name) \(shapes)"] = row
    }
    let total = state.device.isEmpty ? nil : 1e3 * state.device.reduce(0) { $0 + ($1.ends.last ?? 0) } / measured
    let begins = state.spans.filter { $0.name == "step" }.map(\.begin).sorted()
    let wall = begins.count > 1 ? 1e3 * (begins[begins.count - 1] - begins[0]) / Double(begins.count - 1) : nil
    return ProfileReport.Task(
      task: name, steps: begins.count, wallMilliseconds: wall, deviceMilliseconds: total,
      ops: rows.values.sorted { ($0.milliseconds, $0.op) > ($1.milliseconds, $1.op) }.map { row in
        var row = row
        row.share = row.milliseconds / max(1e-9, total ?? 0)
        return row
      })
  }

  func add(to trace: inout Trace) {
    let state = self.state.withLock { $0 }
    for span in state.spans {
      trace.span(
        "\(span.name)\(span.name == "step" ? " \(span.step)" : "")", category: name, .host,
        thread: span.thread.rawValue, from: span.begin, to: span.end, step: span.step)
    }
    let offset = deviceOffset(state)
    for step in state.device {
      let start = step.start + offset
      trace.span(
        "\(name), step \(step.step)", category: name, .device, thread: 1, from: start,
        to: start + (step.ends.last ?? 0), step: step.step)
      for (i, node) in layout.program.nodes.enumerated() {
        trace.span(
          node.op.name, category: name, .device, thread: 1, from: start + (i > 0 ? step.ends[i - 1] : 0),
          to: start + step.ends[i], step: step.step, shapes: shapes(node))
      }
    }
  }
}
