import CVulkan
import Foundation
import Kernels
import Synchronization

/// A Vulkan device ready for work; made from a `DevicePlan`, obeys it.
package final class Device: Sendable {
  let logical: LogicalDevice
  private let kernels: KernelCache
  private let staging = Mutex<(upload: Buffer, readback: Buffer)?>(nil)
  /// What `.unused` bindings get; nil on a device opened to compile, which need not have memory.
  private let placeholder: Buffer?

  /// `cacheDirectory` keeps compiled pipelines between processes; nil is the user's cache directory.
  package init(plan: DevicePlan, instance: Instance, cacheDirectory: URL? = nil) throws(VulkanError) {
    logical = try LogicalDevice(plan: plan, instance: instance)
    kernels = try KernelCache(logical, directory: cacheDirectory ?? PipelineFile.userDirectory)
    placeholder =
      plan.purpose == .compiling
      ? nil : try Buffer(logical, bytes: 256, kind: .device, label: "placeholder")
  }

  /// The device that `DevicePlan(choosing: name)` picks from all that are present.
  package static func open(
    _ name: String? = nil, validation: Bool = false, for purpose: DevicePurpose = .running,
    precision: Precision = .f32
  ) throws(VulkanError) -> Device {
    let instance = try Instance(validation: validation)
    let plan = try DevicePlan(choosing: name, from: instance.snapshots(), for: purpose, precision: precision)
    return try Device(plan: plan, instance: instance)
  }

  /// What a person should know of the precision that a run asks for; nil where that is f32.
  package func precisionNote(asked precision: Precision) -> String? {
    guard precision == .mixed else { return nil }
    guard let unit = traits.matrixUnit else {
      return
        "mixed precision: no matrix units with f16 factors and f32 sums (\(MatrixUnit.deviceExtension)), so products are f32"
    }
    return "mixed precision: products by matrix units of \(unit.m) x \(unit.n) x \(unit.k), factors f16, sums f32"
  }

  package var plan: DevicePlan { logical.plan }
  package var snapshot: DeviceSnapshot { logical.plan.snapshot }
  package var traits: DeviceTraits { logical.plan.traits }
  package var instance: Instance { logical.instance }
  package var counters: CallCounter { logical.counters.now }

  // MARK: Memory

  /// Bytes of all live buffers.
  package var bytesAllocated: Int { logical.allocator.bytes }
  /// The most that `bytesAllocated` has been.
  package var peakBytes: Int { logical.allocator.peak }

  /// Bytes that `device` buffers may still take: the driver's budget of the heaps they may come from, or the heaps' sizes less our
  /// own buffers where the driver does not say.
  package var memoryAvailable: Int {
    let heaps = Set(snapshot.memoryTypes(for: .device).map { snapshot.memoryTypes[$0].heap })
    guard snapshot.extensions.contains(VK_EXT_MEMORY_BUDGET_EXTENSION_NAME) else {
      return max(0, heaps.reduce(0) { $0 + snapshot.heaps[$1].bytes } - bytesAllocated)
    }
    var budget = VkPhysicalDeviceMemoryBudgetPropertiesEXT()
    budget.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT
    withUnsafeMutablePointer(to: &budget) {
      var memory = VkPhysicalDeviceMemoryProperties2()
      memory.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2
      memory.pNext = UnsafeMutableRawPointer($0)
      vkGetPhysicalDeviceMemoryProperties2(logical.physical.raw, &memory)
    }
    func entry<Field>(_ field: Field, _ heap: Int) -> Int {
      withUnsafeBytes(of: field) { Int(clamping: $0.bindMemory(to: UInt64.self)[heap]) }
    }
    return heaps.reduce(0) { $0 + max(0, entry(budget.heapBudget, $1) - entry(budget.heapUsage, $1)) }
  }

  /// Throws `outOfMemory` and `limitExceeded`.
  package func makeBuffer(bytes: Int, kind: BufferKind, label: String) throws(VulkanError) -> Buffer {
    try Buffer(logical, bytes: bytes, kind: kind, label: label)
  }

  /// Writes bytes to any buffer and waits. For set-up; a training step writes to `upload` buffers instead.
  package func upload(_ bytes: UnsafeRawBufferPointer, to slice: BufferSlice) throws(VulkanError) {
    precondition(bytes.count == slice.bytes, "upload of \(bytes.count) bytes to a slice of \(slice.bytes)")
    if let contents = slice.buffer.contents {
      try waitIdle()
      UnsafeMutableRawBufferPointer(rebasing: contents[slice.range]).copyMemory(from: bytes)
      slice.buffer.flush()
      return
    }
    try throughStaging(slice) { staging, part, start throws(VulkanError) in
      staging.upload.contents?.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[start..<start + part.bytes]))
      try copy(staging.upload.slice(offset: 0, bytes: part.bytes), to: part)
    }
  }

  /// Reads bytes of any buffer after all submitted work.
  package func download(_ slice: BufferSlice, into bytes: UnsafeMutableRawBufferPointer) throws(VulkanError) {
    precondition(bytes.count == slice.bytes, "download of \(slice.bytes) bytes into \(bytes.count)")
    if slice.buffer.kind != .device {
      try waitIdle()
      guard let contents = slice.buffer.contents else { return }
      bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: contents[slice.range]))
      return
    }
    try throughStaging(slice) { staging, part, start throws(VulkanError) in
      try copy(part, to: staging.readback.slice(offset: 0, bytes: part.bytes))
      guard let contents = staging.readback.contents else { return }
      UnsafeMutableRawBufferPointer(rebasing: bytes[start..<start + part.bytes]).copyMemory(
        from: UnsafeRawBufferPointer(rebasing: contents[..<part.bytes]))
    }
  }

  // MARK: Work

  /// The kernel with these specialization constants; made once per process, and known by its source's name.
  package func kernel(_ source: KernelSource, _ constants: [SpecializationEntry]) throws(VulkanError) -> Kernel {
    try kernels.kernel(source, constants)
  }

  /// Makes the kernel once more, for what is recorded from now on.
  /// - Returns: the one before it, which `keep` puts back.
  package func remakeKernel(
    _ source: KernelSource, _ constants: [SpecializationEntry]
  ) throws(VulkanError) -> Kernel {
    try kernels.remake(source, constants)
  }

  /// Takes this kernel of these constants for what is recorded from now on.
  package func keep(_ kernel: Kernel, _ constants: [SpecializationEntry]) { kernels.keep(kernel, constants) }

  /// A kernel of a shader that was compiled at run time, whose name need not be unique; released with its last user.
  package func makeKernel(_ source: KernelSource, _ constants: [SpecializationEntry]) throws(VulkanError) -> Kernel {
    try kernels.makeKernel(source, constants)
  }

  /// Stores compiled pipelines for the next process; also done when the device is released. False where the driver has none
  /// to give.
  @discardableResult
  package func saveCache() -> Bool { kernels.save() }

  package func record(
    _ body: (inout Recorder) throws(VulkanError) -> Void
  ) throws(VulkanError) -> CommandBuffer {
    guard let placeholder else { throw logical.compilesOnly }
    var recorder = try Recorder.begin(logical, placeholder: placeholder)
    try body(&recorder)
    return try recorder.finish()
  }

  /// Submits in one call. Submissions run in order, and each sees what the earlier ones wrote.
  package func submit(_ commands: [CommandBuffer]) throws(VulkanError) -> Ticket {
    Ticket(device: logical, value: try logical.submit(commands))
  }

  /// Blocks until all submitted work is done.
  package func waitIdle() throws(VulkanError) { try logical.waitIdle() }

  // MARK: Staging

  private static let stagingBytes = 4 << 20

  private func copy(_ from: BufferSlice, to: BufferSlice) throws(VulkanError) {
    try submit([record { $0.copy(from, to: to) }]).wait()
  }

  /// Calls `body` for each part of the slice that fits the staging buffers, with the part's start in the slice.
  private func throughStaging(
    _ slice: BufferSlice,
    _ body: ((upload: Buffer, readback: Buffer), BufferSlice, Int) throws(VulkanError) -> Void
  ) throws(VulkanError) {
    try staging.withLock { staging throws(VulkanError) in
      let buffers: (upload: Buffer, readback: Buffer)
      if let made = staging {
        buffers = made
      } else {
        buffers = (
          try makeBuffer(bytes: Self.stagingBytes, kind: .upload, label: "staging upload"),
          try makeBuffer(bytes: Self.stagingBytes, kind: .readback, label: "staging readback")
        )
        staging = buffers
      }
      for start in stride(from: 0, to: slice.bytes, by: Self.stagingBytes) {
        let bytes = min(Self.stagingBytes, slice.bytes - start)
        try body(buffers, slice.buffer.slice(offset: slice.offset + start, bytes: bytes), start)
      }
    }
  }
}
