import Foundation
import GPU

/// Times recorded work of any kind.
package struct CommandTimer: Sendable {
  private let device: Device
  private let runs: [CommandBuffer]
  private let clock: Clock?
  private var runsPerSample = 1
  private var next = 0

  /// Time stamps before and after what is measured.
  private struct Clock: Sendable {
    let profiler: Profiler
    let start: CommandBuffer
    let end: CommandBuffer
  }

  /// - Parameter runs: command buffers that do the same, on different memory perhaps; runs take them in turn.
  package init(_ runs: [CommandBuffer], on device: Device) throws(VulkanError) {
    self.device = device
    self.runs = runs
    guard device.plan.hasTimestamps else {
      clock = nil
      return
    }
    let profiler = try Profiler(device, count: 2)
    clock = Clock(
      profiler: profiler, start: try device.record { $0.writeTimestamp(profiler, 0) },
      end: try device.record { $0.writeTimestamp(profiler, 1) })
  }

  /// Whether times come from the device; else they are wall-clock times around submissions.
  package var hasTimestamps: Bool { clock != nil }

  /// Runs until the work is compiled and its caches are warm, and settles how many runs make a sample, so that a submission
  /// costs little beside them.
  /// - Parameter seconds: wanted for a sample at the least.
  /// - Returns: seconds of one run, roughly.
  @discardableResult
  package mutating func warmUp(sample seconds: Double = 2e-3) throws(VulkanError) -> Double {
    runsPerSample = 1
    _ = try sample()
    var run = try sample().device
    if run * 4 < seconds {
      // The submission itself is most of the time of a single short run.
      runsPerSample = 8
      run = try sample().device
    }
    runsPerSample = max(1, min(2000, Int((seconds / max(run, 1e-9)).rounded(.up))))
    return run
  }

  /// One submission of as many runs as `warmUp` found.
  /// - Returns: seconds of one run: on the device, and of processor time of this process.
  package mutating func sample() throws(VulkanError) -> (device: Double, cpu: Double) {
    var commands: [CommandBuffer] = []
    for _ in 0..<runsPerSample {
      commands.append(runs[next])
      next = (next + 1) % runs.count
    }
    if let clock { commands = [clock.start] + commands + [clock.end] }
    let (wall, processor) = (ContinuousClock.now, processorSeconds())
    try device.submit(commands).wait()
    let elapsed = wall.duration(to: .now)
    let cpu = processorSeconds() - processor
    let seconds: Double
    if let clock { seconds = try clock.profiler.read()[1] } else { seconds = elapsed / .seconds(1) }
    return (seconds / Double(runsPerSample), cpu / Double(runsPerSample))
  }

  /// Warms up, then takes samples: at least `samples`, and for at least `seconds`.
  package mutating func measure(samples: Int = 5, seconds: Double = 0.5) throws(VulkanError) -> Timings {
    try warmUp()
    var timings = Timings(hasTimestamps: hasTimestamps)
    let begin = ContinuousClock.now
    while timings.device.count < samples || begin.duration(to: .now) < .seconds(seconds) {
      timings.add(try sample())
    }
    return timings
  }
}

/// Samples of the time that one run of an op takes.
package struct Timings: Sendable, Hashable {
  /// Seconds on the device.
  package private(set) var device: [Double] = []
  /// Seconds of processor time of this process; on a software device the device's own work.
  package private(set) var cpu: [Double] = []
  /// Whether `device` was measured by the device; else by the wall clock.
  package let hasTimestamps: Bool

  package init(hasTimestamps: Bool) { self.hasTimestamps = hasTimestamps }

  package mutating func add(_ sample: (device: Double, cpu: Double)) {
    device.append(sample.device)
    cpu.append(sample.cpu)
  }

  package var median: Double { quantile(device, 0.5) }
  package var min: Double { device.min() ?? .nan }
  /// The range of the middle half of the samples, as a fraction of their median.
  package var spread: Double { (quantile(device, 0.75) - quantile(device, 0.25)) / median }
  package var cpuMedian: Double { quantile(cpu, 0.5) }
}

/// By linear interpolation between the two nearest values; not a number without values.
func quantile(_ values: [Double], _ fraction: Double) -> Double {
  guard !values.isEmpty else { return .nan }
  let sorted = values.sorted()
  let place = fraction * Double(sorted.count - 1)
  let low = Int(place)
  let high = Swift.min(low + 1, sorted.count - 1)
  return sorted[low] + (place - Double(low)) * (sorted[high] - sorted[low])
}

/// Processor time of all threads of this process.
package func processorSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Double(time.tv_sec) + 1e-9 * Double(time.tv_nsec)
}
