import Foundation
import GPU
import Graph

/// One variant of an op, compiled and recorded once, ready to be checked and timed.
package struct OpTimer: Sendable {
  package let tensors: OpTensors
  /// One per set of memory; each writes every output once.
  private let runs: [CommandBuffer]
  private let scratch: [BufferSlice]
  private let clock: Clock?
  private var runsPerSample = 1
  private var next = 0

  /// Time stamps before and after what is measured.
  private struct Clock: Sendable {
    let profiler: Profiler
    let start: CommandBuffer
    let end: CommandBuffer
  }

  /// Compiles the variant's kernels and records it.
  /// - Parameter launch: of the op of `tensors`, at its site.
  /// - Throws: `VulkanError`, also for a kernel that the driver does not take.
  package init(_ launch: Launch, on tensors: OpTensors) throws(VulkanError) {
    self.tensors = tensors
    let device = tensors.device
    var scratch: [BufferSlice] = []
    for type in launch.scratch {
      scratch.append(try device.makeBuffer(bytes: type.bytes, kind: .device, label: "\(tensors.op.name) scratch").whole)
    }
    var runs: [CommandBuffer] = []
    for memory in tensors.sets {
      runs.append(
        try device.record { recorder throws(VulkanError) in
          for dispatch in launch.dispatches {
            let kernel = try device.kernel(dispatch.source, dispatch.constants)
            let bindings = dispatch.operands.map { operand -> BoundResource in
              let bound: BufferSlice
              switch operand.place {
              case .input(let i): bound = memory.inputs[i]
              case .output(let i): bound = memory.outputs[i]
              case .scratch(let i): bound = scratch[i]
              case .colocated:
                guard let colocated = memory.colocated else { preconditionFailure("no colocated inputs") }
                bound = colocated
              case .unused: return .unused
              }
              return operand.format.map { .texels(bound, $0) } ?? .buffer(bound)
            }
            let groups = dispatch.groups
            try recorder.dispatch(
              kernel, bindings, push: dispatch.push, groups: (UInt32(groups.x), UInt32(groups.y), UInt32(groups.z)))
          }
        })
    }
    self.scratch = scratch
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

  /// Runs once on the initial inputs.
  /// - Returns: the outputs, then the new contents of the mutated inputs; what was not written is not a number.
  package func results() throws(VulkanError) -> [HostTensor] {
    let (device, memory) = (tensors.device, tensors.sets[0])
    try tensors.upload(tensors.op.mutates)
    let poison = try device.record { recorder in
      for slice in memory.outputs + scratch { recorder.fill(slice, value: 0x7fc0_0bad) }
    }
    try device.submit([poison, runs[0]]).wait()
    return try tensors.download()
  }

  /// Runs the variant until it is compiled and its caches are warm, and settles how many runs make a sample, so that a
  /// submission costs little beside them.
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
    try tensors.device.submit(commands).wait()
    let elapsed = wall.duration(to: .now)
    let cpu = processorSeconds() - processor
    let device: Double
    if let clock { device = try clock.profiler.read()[1] } else { device = elapsed / .seconds(1) }
    return (device / Double(runsPerSample), cpu / Double(runsPerSample))
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
private func processorSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Double(time.tv_sec) + 1e-9 * Double(time.tv_nsec)
}
