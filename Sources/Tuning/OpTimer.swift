import GPU
import Graph

/// One variant of an op, compiled and recorded once, ready to be checked and timed.
package struct OpTimer: Sendable {
  package let tensors: OpTensors
  /// One per set of memory; each writes every output once.
  private let runs: [CommandBuffer]
  private let scratch: [BufferSlice]
  private var timer: CommandTimer

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
            try recorder.dispatch(dispatch, on: device) { place in
              switch place {
              case .input(let i): return memory.inputs[i]
              case .output(let i): return memory.outputs[i]
              case .scratch(let i): return scratch[i]
              case .colocated:
                guard let colocated = memory.colocated else { preconditionFailure("no colocated inputs") }
                return colocated
              case .unused: preconditionFailure("\(tensors.op.name): nothing is bound there")
              }
            }
          }
        })
    }
    self.scratch = scratch
    self.runs = runs
    timer = try CommandTimer(runs, on: device)
  }

  /// Whether times come from the device; else they are wall-clock times around submissions.
  package var hasTimestamps: Bool { timer.hasTimestamps }

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

  /// Runs once, compiling where the driver does that late.
  /// - Returns: false if it takes longer than `seconds`; the device then stays busy with it.
  package func finishes(within seconds: Double) throws(VulkanError) -> Bool {
    if try tensors.device.submit([runs[0]]).wait(seconds: seconds) { return true }
    // Its release would wait for the run to end.
    _ = Unmanaged.passRetained(runs[0])
    return false
  }

  /// As `CommandTimer.warmUp`.
  @discardableResult
  package mutating func warmUp(sample seconds: Double = 2e-3) throws(VulkanError) -> Double {
    try timer.warmUp(sample: seconds)
  }

  /// As `CommandTimer.sample`.
  package mutating func sample() throws(VulkanError) -> (device: Double, cpu: Double) { try timer.sample() }

  /// As `CommandTimer.measure`.
  package mutating func measure(samples: Int = 5, seconds: Double = 0.5) throws(VulkanError) -> Timings {
    try timer.measure(samples: samples, seconds: seconds)
  }
}
