import Foundation

/// profile.json, and profile.md from the same numbers.
struct ProfileReport: Encodable {
  struct Task: Encodable {
    let task: String
    /// How many were measured.
    let steps: Int
    /// From one step's begin to the next one's.
    let wallMilliseconds: Double?
    /// From the begin to the end of the program on the device.
    let deviceMilliseconds: Double?
    let ops: [Row]

    enum CodingKeys: String, CodingKey {
      case task, steps
      case wallMilliseconds = "wall_ms"
      case deviceMilliseconds = "device_ms"
      case ops
    }
  }

  /// An op at one set of shapes; times and work are those of a step.
  struct Row: Encodable {
    let op: String
    let shapes: String
    var count = 0
    var milliseconds = 0.0
    var share = 0.0
    var flops = 0
    var bytes = 0

    init(op: String, shapes: String) {
      self.op = op
      self.shapes = shapes
    }

    var gflops: Double { 1e-6 * Double(flops) / max(1e-9, milliseconds) }
    var gbps: Double { 1e-6 * Double(bytes) / max(1e-9, milliseconds) }

    enum CodingKeys: String, CodingKey { case op, shapes, count, ms, share, gflops, gbps }

    func encode(to encoder: any Encoder) throws {
      var row = encoder.container(keyedBy: CodingKeys.self)
      try row.encode(op, forKey: .op)
      try row.encode(shapes, forKey: .shapes)
      try row.encode(count, forKey: .count)
      try row.encode(milliseconds, forKey: .ms)
      try row.encode(share, forKey: .share)
      try row.encode(gflops, forKey: .gflops)
      try row.encode(gbps, forKey: .gbps)
    }
  }

  let device: String
  let driver: String
  let clock: String
  let tasks: [Task]

  var text: String {
    var text = "# Profile\n\n\(device), \(driver). Clock: \(clock). Means over the measured steps.\n"
    for task in tasks {
      let device = task.deviceMilliseconds.map { String(format: ", %.3f ms of it on the device", $0) } ?? ""
      let wall = task.wallMilliseconds.map { String(format: "%.3f ms a step", $0) } ?? "too few steps"
      text += "\n## \(task.task)\n\n\(task.steps) steps measured: \(wall)\(device).\n"
      guard !task.ops.isEmpty else { continue }
      text += "\n| op | inputs | count | ms | share | GFLOP/s | GB/s |\n|---|---|---:|---:|---:|---:|---:|\n"
      for row in task.ops {
        text += "| \(row.op) | \(row.shapes) | \(row.count) | "
        text += String(
          format: "%.4f | %.1f %% | %.1f | %.1f |\n", row.milliseconds, 100 * row.share, row.gflops, row.gbps)
      }
    }
    return text
  }
}
