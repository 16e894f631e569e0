import GPU
import Synchronization

/// A program turned once into command buffers that are submitted again for every step.
///
/// A step is staging slot -> device inputs, the program, results -> read-back slot: one submission, or several where the program
/// is long (`parts`). Slots rotate, so the host fills and reads some while the device works on another; nothing is recorded,
/// allocated or written to a descriptor per step.
package final class Plan: Sendable {
  package let layout: PlanLayout
  package let device: Device
  private let arena: [Buffer]
  private let staging: Buffer?
  private let readback: Buffer?
  private let slots: Int
  private let program: [CommandBuffer]
  private let before: [CommandBuffer]
  private let after: [CommandBuffer]
  /// The program with time stamps, for each slot.
  private let profiled: [(commands: [CommandBuffer], profiler: Profiler)]
  private let state: Mutex<State>

  private struct State {
    var steps = 0
    var tickets: [Ticket?]
    /// Slot and ticket of the newest run with time stamps.
    var profiled: (slot: Int, ticket: Ticket)?
  }

  /// Places memory, compiles kernels and records.
  /// - Parameters:
  ///   - blocks: the persistent buffers the graph names; those that the layout calls frozen hold their values already.
  ///   - slots: how many steps may be in flight; results of a step can be read until `slots` further steps have run.
  ///   - profiling: also records the program with a time stamp after every op; it takes no more memory.
  ///   - longest: seconds that a submission should take at the most, see `parts`.
  /// - Throws: `VulkanError`, among others when the memory needed is more than there is, or a kernel exceeds a limit.
  package init(
    _ layout: PlanLayout, on device: Device, blocks: [String: Buffer], slots: Int = 3, profiling: Bool = false,
    longest: Double = 0.2
  ) throws(VulkanError) {
    if let misfit = layout.misfit { throw .unsuitableDevice(name: device.snapshot.name, reason: misfit) }
    self.layout = layout
    self.device = device
    self.slots = slots
    func buffer(_ bytes: Int, _ kind: BufferKind, _ label: String) throws(VulkanError) -> Buffer? {
      bytes == 0 ? nil : try device.makeBuffer(bytes: bytes, kind: kind, label: label)
    }
    let arena = try stride(from: 0, to: layout.arenaBytes, by: layout.arenaBufferBytes).map {
      (start) throws(VulkanError) in
      let bytes = min(layout.arenaBufferBytes, layout.arenaBytes - start)
      return try device.makeBuffer(bytes: bytes, kind: .device, label: "arena")
    }
    let feed = try buffer(layout.feedBytes, .device, "inputs")
    let constants = try buffer(layout.constantBytes, .device, "constants")
    let staging = try buffer(layout.feedBytes * slots, .upload, "staging")
    let readback = try buffer(layout.resultBytes * slots, .readback, "read-back")
    self.arena = arena
    self.staging = staging
    self.readback = readback

    let program = layout.program
    func slice(_ value: Int) -> BufferSlice {
      let bytes = program.types[value].bytes
      func part(_ buffer: Buffer?, _ offset: Int) -> BufferSlice {
        guard let buffer else { preconditionFailure("value \(value) has no memory") }
        return buffer.slice(offset: offset, bytes: bytes)
      }
      switch layout.places[value] {
      case .arena(let offset): return arena.slice(at: offset, bytes: bytes, layout)
      case .feed(let offset): return part(feed, offset)
      case .constants(let offset): return part(constants, offset)
      case .block(let name, let offset):
        guard let block = blocks[name] else { preconditionFailure("the plan was given no block named \(name)") }
        return part(block, offset)
      case nil: preconditionFailure("value \(value) has no place")
      }
    }

    for (value, _) in layout.constants {
      guard case .constant(let tensor) = program.sources[value] else { continue }
      try tensor.bytes.withUnsafeBufferPointer { (bytes) throws(VulkanError) in
        try device.upload(UnsafeRawBufferPointer(bytes), to: slice(value))
      }
    }

    func record(_ dispatch: Dispatch, of step: Int, _ recorder: inout Recorder) throws(VulkanError) {
      let (node, launch) = (program.nodes[step], layout.launches[step])
      try recorder.dispatch(dispatch, on: device) { place in
        switch place {
        case .input(let i): return slice(node.inputs[i])
        case .output(let i): return slice(node.outputs[i])
        case .scratch(let i):
          return arena.slice(at: layout.scratch[step][i], bytes: launch.scratch[i].bytes, layout)
        case .colocated:
          guard let offset = layout.colocated[step], let colocation = node.op.colocated else {
            preconditionFailure("\(node.op.name) has no colocated inputs")
          }
          return arena.slice(at: offset, bytes: colocation.bytes, layout)
        case .unused: preconditionFailure("\(node.op.name): nothing is bound there")
        }
      }
    }

    if layout.prepared.contains(where: { $0 > 0 }) {
      let preparation = try device.record { recorder throws(VulkanError) in
        for (step, launch) in layout.launches.enumerated() {
          for dispatch in launch.dispatches.prefix(layout.prepared[step]) {
            try record(dispatch, of: step, &recorder)
          }
        }
      }
      _ = try device.submit([preparation])
    }

    let parts = program.parts(longest: longest)
    func recordProgram(stamping profiler: Profiler?) throws(VulkanError) -> [CommandBuffer] {
      try parts.map { (part) throws(VulkanError) in
        try device.record { recorder throws(VulkanError) in
          if let profiler, part.lowerBound == 0 { recorder.writeTimestamp(profiler, 0) }
          for step in part {
            for dispatch in layout.launches[step].dispatches.dropFirst(layout.prepared[step]) {
              try record(dispatch, of: step, &recorder)
            }
            if let profiler { recorder.writeTimestamp(profiler, step + 1) }
          }
        }
      }
    }
    self.program = try recordProgram(stamping: nil)
    var profiled: [(commands: [CommandBuffer], profiler: Profiler)] = []
    for _ in 0..<(profiling ? slots : 0) {
      let profiler = try Profiler(device, count: program.nodes.count + 1)
      profiled.append((try recordProgram(stamping: profiler), profiler))
    }
    self.profiled = profiled
    var before: [CommandBuffer] = []
    var after: [CommandBuffer] = []
    for slot in 0..<slots {
      if let staging, let feed {
        before.append(
          try device.record { recorder throws(VulkanError) in
            let from = staging.slice(offset: slot * layout.feedBytes, bytes: layout.feedBytes)
            recorder.copy(from, to: feed.slice(offset: 0, bytes: layout.feedBytes))
          })
      }
      if let readback {
        after.append(
          try device.record { recorder throws(VulkanError) in
            for (value, offset) in zip(program.results, layout.resultOffsets) {
              let from = slice(value)
              recorder.copy(
                from, to: readback.slice(offset: slot * layout.resultBytes + offset, bytes: from.bytes))
            }
          })
      }
    }
    self.before = before
    self.after = after
    state = Mutex(State(tickets: Array(repeating: nil, count: slots)))
  }

  package var dispatchCount: Int { program.reduce(0) { $0 + $1.dispatchCount } }
  package var barrierCount: Int { program.reduce(0) { $0 + $1.barrierCount } }

  /// Where the host writes the inputs of one step.
  package struct Feed {
    fileprivate let layout: PlanLayout
    fileprivate let base: UnsafeMutableRawBufferPointer

    /// Memory of the input `name`, nil if no result depends on it.
    package subscript(name: String) -> UnsafeMutableRawBufferPointer? {
      guard let feed = layout.feeds.first(where: { $0.name == name }) else { return nil }
      let type = layout.program.types[feed.value]
      return UnsafeMutableRawBufferPointer(rebasing: base[feed.offset..<feed.offset + type.count * type.dtype.bytes])
    }

    /// Copies `values` into the input `name`, if the plan reads it.
    package func set<T: BitwiseCopyable>(_ name: String, _ values: ArraySlice<T>) {
      guard let memory = self[name] else { return }
      values.withUnsafeBytes {
        precondition($0.count == memory.count, "input \(name) takes \(memory.count) bytes, given \($0.count)")
        memory.copyMemory(from: $0)
      }
    }
  }

  /// A submitted step.
  package struct Run: Sendable {
    fileprivate let plan: Plan
    fileprivate let slot: Int
    fileprivate let hasStamps: Bool
    package let ticket: Ticket

    /// The bits of result `index`, when the device has finished the step.
    package func words(_ index: Int = 0) throws(VulkanError) -> [UInt32] {
      try ticket.wait()
      let layout = plan.layout
      let type = layout.program.types[layout.program.results[index]]
      guard let bytes = plan.readback?.contents else { return [] }
      let start = slot * layout.resultBytes + layout.resultOffsets[index]
      return (0..<type.count).map { bytes.loadUnaligned(fromByteOffset: start + 4 * $0, as: UInt32.self) }
    }

    package func floats(_ index: Int = 0) throws(VulkanError) -> [Float] {
      try words(index).map(Float.init(bitPattern:))
    }

    /// When the program began by the device's clock, and how long after that each op was done, in seconds; nil for a run
    /// without time stamps. Waits for the device; ask before the slot is used again.
    package func opTimes() throws(VulkanError) -> (start: Double, ends: [Double])? {
      guard hasStamps else { return nil }
      try ticket.wait()
      let profiler = plan.profiled[slot].profiler
      return (try profiler.readStart(), Array(try profiler.read().dropFirst()))
    }

    /// The first element of every result, when the device has finished the step.
    package func scalars() throws(VulkanError) -> [Float] {
      try ticket.wait()
      guard let bytes = plan.readback?.contents else { return [] }
      return plan.layout.resultOffsets.map {
        bytes.loadUnaligned(fromByteOffset: slot * plan.layout.resultBytes + $0, as: Float.self)
      }
    }
  }

  /// Submits one step; waits only for the step that used the same slot before.
  /// - Parameter profiled: false leaves out the time stamps of a plan that was made for profiling.
  package func run(profiled isProfiled: Bool = true, feeding: (Feed) -> Void = { _ in }) throws(VulkanError) -> Run {
    let (slot, earlier) = state.withLock { state in
      defer { state.steps += 1 }
      return (state.steps % slots, state.tickets[state.steps % slots])
    }
    try earlier?.wait()
    if let staged = staging?.contents {
      let range = slot * layout.feedBytes..<(slot + 1) * layout.feedBytes
      feeding(Feed(layout: layout, base: UnsafeMutableRawBufferPointer(rebasing: staged[range])))
    }
    let hasStamps = isProfiled && !profiled.isEmpty
    var submissions = (hasStamps ? profiled[slot].commands : program).map { [$0] }
    let last = submissions.count - 1
    if !before.isEmpty { submissions[0].insert(before[slot], at: 0) }
    if !after.isEmpty { submissions[last].append(after[slot]) }
    for submission in submissions[..<last] { _ = try device.submit(submission) }
    let ticket = try device.submit(submissions[last])
    state.withLock {
      $0.tickets[slot] = ticket
      if hasStamps { $0.profiled = (slot, ticket) }
    }
    return Run(plan: self, slot: slot, hasStamps: hasStamps, ticket: ticket)
  }

  /// Seconds that each op of the last profiled run took on the device; nil if there was none.
  package func opSeconds() throws(VulkanError) -> [(op: String, seconds: Double)]? {
    guard let last = state.withLock({ $0.profiled }) else { return nil }
    try last.ticket.wait()
    let times = try profiled[last.slot].profiler.read()
    return layout.program.nodes.enumerated().map { ($1.op.name, times[$0 + 1] - times[$0]) }
  }

  /// The contents of any value of the program after a run; meaningful for layouts without aliasing.
  package func contents(of value: Int) throws(VulkanError) -> [Float] {
    guard case .arena(let offset) = layout.places[value] else { return [] }
    var floats = [Float](repeating: 0, count: layout.program.types[value].bytes / 4)
    try floats.withUnsafeMutableBufferPointer { (floats) throws(VulkanError) in
      let bytes = UnsafeMutableRawBufferPointer(floats)
      try device.download(arena.slice(at: offset, bytes: bytes.count, layout), into: bytes)
    }
    return Array(floats.prefix(layout.program.types[value].count))
  }
}

extension [Buffer] {
  /// A range of the arena that these buffers are.
  fileprivate func slice(at offset: Int, bytes: Int, _ layout: PlanLayout) -> BufferSlice {
    self[offset / layout.arenaBufferBytes].slice(offset: offset % layout.arenaBufferBytes, bytes: bytes)
  }
}

extension Program {
  /// The nodes that one submission runs: drivers take one that lasts for seconds, two on Windows and on recent AMD kernels, for
  /// a hang and reset the device.
  /// - Parameter longest: seconds that it takes at the most on a weak GPU (10^12 operations and 10^11 bytes a second), but
  ///   for single nodes that take more.
  package func parts(longest: Double) -> [Range<Int>] {
    var parts: [Range<Int>] = []
    var (start, seconds) = (0, 0.0)
    for (i, node) in nodes.enumerated() {
      let cost = cost(of: node)
      let own = max(Double(cost.flops) / 1e12, Double(cost.bytes) / 1e11)
      if i > start, seconds + own > longest {
        parts.append(start..<i)
        (start, seconds) = (i, 0)
      }
      seconds += own
    }
    return parts + [start..<nodes.count]
  }
}

extension HostTensor {
  /// The elements in device format, padded to whole 16-byte vectors.
  package var bytes: [UInt8] {
    [UInt8](unsafeUninitializedCapacity: type.bytes) { bytes, count in
      let memory = UnsafeMutableRawBufferPointer(bytes)
      memory.initializeMemory(as: UInt8.self, repeating: 0)
      for (i, x) in data.enumerated() {
        switch type.dtype {
        case .f32: memory.storeBytes(of: Float(x), toByteOffset: 4 * i, as: Float.self)
        case .u32: memory.storeBytes(of: UInt32(x), toByteOffset: 4 * i, as: UInt32.self)
        case .u8: memory[i] = UInt8(x)
        }
      }
      count = type.bytes
    }
  }

  /// From the words of device memory that `bytes` would fill.
  package init(_ type: TensorType, words: [UInt32]) {
    switch type.dtype {
    case .f32: self.init(type, words.prefix(type.count).map { Double(Float(bitPattern: $0)) })
    case .u32: self.init(type, words.prefix(type.count).map(Double.init))
    case .u8: self.init(type, (0..<type.count).map { Double(words[$0 / 4] >> UInt32(8 * ($0 % 4)) & 0xff) })
    }
  }
}
