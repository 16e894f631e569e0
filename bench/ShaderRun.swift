import GPU
import ShaderCompiler
import Tuning

/// A person's shader on its buffers: checked once, then timed.
struct ShaderRun {
  /// Bytes before and behind every buffer that a shader must leave as they are.
  private static let guardBytes = 1 << 16

  private struct Memory {
    let whole: BufferSlice
    let bytes: Int

    var exact: BufferSlice { whole.buffer.slice(offset: ShaderRun.guardBytes, bytes: bytes) }
  }

  let shader: RuntimeShader
  let device: Device
  private let kernel: Kernel
  private let bound: [(buffer: ShaderBuffer, format: TexelFormat?)]
  private let push: [UInt8]
  private let groups: ShaderGroups
  /// One or, for cold runs, several sets of buffers.
  private let sets: [[Memory]]

  /// Checks limits, makes the pipeline and fills the buffers.
  init(
    _ shader: RuntimeShader, buffers: [ShaderBuffer], push: String?, constants: [UInt32: UInt32], groups: ShaderGroups,
    cold: Bool, on device: Device
  ) throws {
    self.shader = shader
    self.device = device
    self.groups = groups
    bound = try shader.bound(buffers)
    self.push = try shader.pushBlock(push)
    try Self.check(shader, groups, on: device)
    Watchdog.beat("the driver's compilation of \(shader.module.path)", limited: true)
    kernel = try device.makeKernel(
      shader.source, constants.sorted { $0.key < $1.key }.map { .init(id: $0.key, bits: $0.value) })
    Watchdog.beat("filling the buffers of \(shader.module.path)")
    let total = max(1, buffers.reduce(0) { $0 + $1.bytes })
    let copies = cold ? min(64, (256 << 20) / total + 1) : 1
    var sets: [[Memory]] = []
    for _ in 0..<copies {
      var set: [Memory] = []
      for (buffer, binding) in zip(buffers, shader.interface.bindings) {
        let bytes = buffer.bytes + 2 * Self.guardBytes
        let whole = try device.makeBuffer(bytes: bytes, kind: .device, label: binding.name).whole
        set.append(Memory(whole: whole, bytes: buffer.bytes))
      }
      sets.append(set)
    }
    self.sets = sets
    for set in sets { try fill(set, poison: Self.poisons[0]) }
  }

  /// Bytes that one run reads and writes if it touches every buffer once.
  var bytes: Int {
    zip(bound, shader.interface.bindings).reduce(0) { sum, pair in
      sum + pair.0.buffer.bytes * (pair.1.access == .readWrite ? 2 : 1)
    }
  }

  // MARK: Checking

  private static func check(_ shader: RuntimeShader, _ groups: ShaderGroups, on device: Device) throws(BenchError) {
    for (axis, (asked, limit)) in zip(["x", "y", "z"], zip(groups.counts, device.snapshot.limits.groups))
    where asked > limit {
      throw BenchError("\(shader.module.path): \(asked) groups in \(axis), this device allows \(limit)")
    }
    let missing = shader.module.spirv.capabilities.filter { !device.offers(capability: $0) }.sorted()
    guard missing.isEmpty else {
      throw BenchError(
        "\(shader.module.path) needs what this device does not have or Graft does not enable: "
          + missing.map { capabilityNames[$0] ?? "capability \($0) of SPIR-V" }.joined(separator: ", "))
    }
  }

  private static let poisons: [[UInt8]] = [[0xad, 0x0b, 0xc0, 0x7f], [0x51, 0x4a, 0x23, 0x42]]

  private func fill(_ set: [Memory], poison: [UInt8]) throws {
    for (i, memory) in set.enumerated() {
      var bytes = (0..<Self.guardBytes).map { poison[$0 % 4] }
      bytes += bound[i].buffer.contents(stream: "buffer \(i)")
      bytes += (0..<Self.guardBytes).map { poison[$0 % 4] }
      try bytes.withUnsafeBytes { try device.upload($0, to: memory.whole) }
    }
  }

  /// One run on the initial contents.
  ///
  /// The shader is given what lies behind each buffer too: drivers drop writes beyond what is bound, and nobody would
  /// notice. Not so where it asks how long its buffers are.
  /// - Returns: the contents of every buffer that it may write.
  private func outputs(poison: [UInt8], _ stage: String) throws -> [[UInt8]?] {
    try fill(sets[0], poison: poison)
    let commands = try record(sets[0]) { i, memory in
      guard !shader.module.spirv.asksForLengths else { return memory.exact }
      let limits = device.snapshot.limits
      let limit = bound[i].format.map { limits.texelBufferElements * $0.bytes } ?? limits.storageBufferRange
      let bytes = max(memory.bytes, min(memory.bytes + Self.guardBytes, limit))
      return memory.whole.buffer.slice(offset: Self.guardBytes, bytes: bytes)
    }
    Watchdog.beat("\(stage) of \(shader.module.path)", limited: true)
    try device.submit([commands]).wait()
    Watchdog.beat("reading back the buffers of \(shader.module.path)")
    var outputs: [[UInt8]?] = []
    for (i, memory) in sets[0].enumerated() {
      var bytes = [UInt8](repeating: 0, count: memory.whole.bytes)
      try bytes.withUnsafeMutableBytes { try device.download(memory.whole, into: $0) }
      try checkGuards(bytes, of: i, poison)
      let isWritten = shader.interface.bindings[i].access != .read
      outputs.append(isWritten ? Array(bytes[Self.guardBytes..<Self.guardBytes + memory.bytes]) : nil)
    }
    return outputs
  }

  private func checkGuards(_ bytes: [UInt8], of i: Int, _ poison: [UInt8]) throws(BenchError) {
    let (buffer, binding) = (bound[i].buffer, shader.interface.bindings[i])
    let end = Self.guardBytes + buffer.bytes
    for (place, range, start) in [("before", 0..<Self.guardBytes, 0), ("behind", end..<bytes.count, end)] {
      let changed = range.filter { bytes[$0] != poison[($0 - start) % 4] }
      guard let first = changed.first else { continue }
      let size = buffer.element.bytes
      let element = (first - Self.guardBytes - (place == "before" ? size - 1 : 0)) / size
      throw BenchError(
        "\(shader.module.path) writes out of bounds: \(place) buffer \(binding.index) (\(binding.name), \(buffer.count) "
          + "elements) \(changed.count) bytes of \(range.count) were changed, first at element \(element)")
    }
  }

  /// Runs the shader once on the initial contents.
  /// - Returns: what it wrote, by binding, and what is suspect about it.
  /// - Throws: `BenchError` where it writes out of bounds.
  func results() throws -> (outputs: [[UInt8]?], suspicion: String?) {
    let first = try outputs(poison: Self.poisons[0], "the first run")
    let other = try outputs(poison: Self.poisons[1], "the second run")
    guard let i = first.indices.first(where: { first[$0] != other[$0] }) else { return (first, nil) }
    let again = try outputs(poison: Self.poisons[0], "the third run")
    let name = shader.interface.bindings[i].name
    return (
      first,
      first == again
        ? "\(name) depends on what lies behind a buffer: \(shader.module.path) reads out of bounds"
        : "\(name) differs from run to run on the same inputs: a race in \(shader.module.path)"
    )
  }

  // MARK: Timing

  private func record(_ set: [Memory], _ slice: (Int, Memory) -> BufferSlice) throws -> CommandBuffer {
    let resources = set.enumerated().map { i, memory -> BoundResource in
      bound[i].format.map { .texels(slice(i, memory), $0) } ?? .buffer(slice(i, memory))
    }
    let counts = groups.counts.map { UInt32($0) }
    return try device.record { recorder throws(VulkanError) in
      try recorder.dispatch(kernel, resources, push: push, groups: (counts[0], counts[1], counts[2]))
    }
  }

  /// Warm, ready to be measured.
  func contender() throws -> Contender {
    let commands = try sets.map { try record($0) { $1.exact } }
    Watchdog.beat("warming up \(shader.module.path)", limited: true)
    let contender = try Contender(shader.module.path, commands, on: device)
    let path = shader.module.path
    return Contender(path, hasTimestamps: contender.hasTimestamps) {
      Watchdog.beat("timed runs of \(path)", limited: true)
      return try contender.sample()
    }
  }

  // MARK: Comparing

  struct Difference {
    let binding: ShaderInterface.Binding
    /// Largest |a - b|, and where.
    var largest = 0.0
    var place = 0
    /// Largest |b|.
    var scale = 0.0

    var relative: Double { largest == 0 ? 0 : largest / max(1, scale) }
  }

  /// How far what this shader wrote is from what another one wrote, by buffer.
  func differences(_ outputs: [[UInt8]?], from others: [[UInt8]?]) -> [Difference] {
    shader.interface.bindings.indices.compactMap { i in
      guard let a = outputs[i], let b = others[i] else { return nil }
      let element = bound[i].buffer.element
      var difference = Difference(binding: shader.interface.bindings[i])
      for place in 0..<bound[i].buffer.count {
        let (x, y) = (element.load(place, in: a), element.load(place, in: b))
        if y.isFinite { difference.scale = max(difference.scale, abs(y)) }
        if x == y || x.isNaN && y.isNaN { continue }
        let distance = abs(x - y)
        if !(distance <= difference.largest) {
          difference.largest = distance.isNaN ? .infinity : distance
          difference.place = place
        }
      }
      return difference
    }
  }
}

/// The parts of SPIR-V (section 3.31) beyond plain compute that people's shaders ask for.
private let capabilityNames: [UInt32: String] = [
  9: "16-bit float arithmetic", 10: "64-bit floats", 11: "64-bit integers", 12: "64-bit atomics", 22: "16-bit integers",
  39: "8-bit integers", 4433: "16-bit storage", 4434: "16-bit storage", 4435: "16-bit push constants",
  4448: "8-bit storage", 4449: "8-bit storage", 4450: "8-bit push constants", 5345: "the Vulkan memory model",
  5347: "buffer device addresses", 6022: "cooperative matrices", 6033: "float atomics", 6034: "float atomics",
]

extension Device {
  fileprivate func offers(capability: UInt32) -> Bool {
    switch capability {
    case 0, 1, 46, 47, 49, 50: true  // matrices, shaders, texel buffers
    case 9: snapshot.shaderFloat16
    case 11: snapshot.shaderInt64
    case 61...68: true  // subgroups
    default: false
    }
  }
}
