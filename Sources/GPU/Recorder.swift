import CVulkan
import Kernels

/// What a kernel's binding gets.
package enum BoundResource: Sendable {
  case buffer(BufferSlice)
  case texels(BufferSlice, TexelFormat)
  /// For a binding that this specialization of the kernel never touches (a texel binding must be of floats).
  case unused

  var slice: BufferSlice? {
    switch self {
    case .buffer(let slice), .texels(let slice, _): slice
    case .unused: nil
    }
  }
}

/// A command buffer being recorded; barriers follow from the access each kernel declares.
package struct Recorder: ~Copyable {
  private let objects: RecordedObjects
  private let commands: Handle
  private let placeholder: Buffer
  private var hazards = HazardTracker()
  private var stages = Stages()
  private var writesReadback = false
  private var boundPipeline: Handle?
  private var dispatchCount = 0
  private var barrierCount = 0

  private init(_ objects: RecordedObjects, _ commands: Handle, placeholder: Buffer) {
    self.objects = objects
    self.commands = commands
    self.placeholder = placeholder
  }

  static func begin(_ device: LogicalDevice, placeholder: Buffer) throws(VulkanError) -> Recorder {
    let objects = try RecordedObjects(device)
    let commands = try objects.makeCommands()
    var info = VkCommandBufferBeginInfo()
    info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO
    info.flags = VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT.rawValue
    device.counters.add(\.vkBeginCommandBuffer)
    try device.check(vkBeginCommandBuffer(commands.raw, &info), "vkBeginCommandBuffer")
    objects.keep(placeholder)
    let recorder = Recorder(objects, commands, placeholder: placeholder)
    // Makes the writes of the host and of all earlier submissions visible.
    recorder.barrier(from: .all.union(.host), to: .all)
    return recorder
  }

  /// Runs the kernel over `groups` workgroups; `bindings` in the order of the shader's, `push` as its block.
  ///
  /// Throws `limitExceeded` and `unsupportedTexelFormat`.
  package mutating func dispatch(
    _ kernel: Kernel, _ bindings: [BoundResource], push: [UInt8], groups: (UInt32, UInt32, UInt32)
  ) throws(VulkanError) {
    let source = kernel.source
    precondition(
      bindings.count == source.bindings.count,
      "kernel '\(source.name)' has \(source.bindings.count) bindings, got \(bindings.count)")
    precondition(
      push.count == source.pushConstantBytes,
      "kernel '\(source.name)' takes \(source.pushConstantBytes) push constant bytes, got \(push.count)")
    let counts = [groups.0, groups.1, groups.2].map(Int.init)
    let limits = objects.device.plan.snapshot.limits
    for (axis, (asked, limit)) in zip(["x", "y", "z"], zip(counts, limits.groups)) where asked > limit {
      throw .limitExceeded(what: "kernel '\(source.name)' groups in \(axis)", asked: asked, limit: limit)
    }

    let set = try objects.descriptorSet(for: kernel)
    let touches = try bind(bindings, of: kernel, in: set)
    order(touches, on: .compute)
    objects.keep(kernel)
    if boundPipeline != kernel.pipeline {
      vkCmdBindPipeline(commands.raw, VK_PIPELINE_BIND_POINT_COMPUTE, kernel.pipeline.raw)
      boundPipeline = kernel.pipeline
    }
    var rawSet: VkDescriptorSet? = set.raw
    vkCmdBindDescriptorSets(
      commands.raw, VK_PIPELINE_BIND_POINT_COMPUTE, kernel.layout.raw, 0, 1, &rawSet, 0, nil)
    var push = push
    for address in source.addresses {
      guard let bytes = bindings[address.binding].slice?.address else { continue }
      push.replaceSubrange(address.offset..<address.offset + 8, with: withUnsafeBytes(of: bytes) { Array($0) })
    }
    if !push.isEmpty {
      vkCmdPushConstants(
        commands.raw, kernel.layout.raw, VK_SHADER_STAGE_COMPUTE_BIT.rawValue, 0, UInt32(push.count), push)
    }
    vkCmdDispatch(commands.raw, groups.0, groups.1, groups.2)
    dispatchCount += 1
  }

  /// Copies bytes; both slices have the same length.
  package mutating func copy(_ from: BufferSlice, to: BufferSlice) {
    precondition(from.bytes == to.bytes, "copy of \(from.bytes) bytes to \(to.bytes)")
    order([touch(from, writes: false), touch(to, writes: true)], on: .transfer)
    var region = VkBufferCopy(
      srcOffset: UInt64(from.offset), dstOffset: UInt64(to.offset), size: UInt64(from.bytes))
    vkCmdCopyBuffer(commands.raw, from.buffer.handle.raw, to.buffer.handle.raw, 1, &region)
  }

  /// Sets every 32-bit word of the slice. The offset is a multiple of 16, the length of 4: some drivers fill the
  /// wrong bytes otherwise.
  package mutating func fill(_ slice: BufferSlice, value: UInt32) {
    precondition(slice.offset % 16 == 0 && slice.bytes % 4 == 0, "fill of \(slice.offset)+\(slice.bytes)")
    order([touch(slice, writes: true)], on: .transfer)
    vkCmdFillBuffer(commands.raw, slice.buffer.handle.raw, UInt64(slice.offset), UInt64(slice.bytes), value)
  }

  /// Notes the time at which everything recorded so far is done, and lets what follows begin only then.
  package mutating func writeTimestamp(_ profiler: Profiler, _ index: Int) {
    precondition((0..<profiler.count).contains(index), "timestamp \(index) of \(profiler.count)")
    objects.keep(profiler)
    barrier(from: .all, to: .all)
    // Reset here and not by the host, so that a replay measures again.
    vkCmdResetQueryPool(commands.raw, profiler.pool.raw, UInt32(index), 1)
    vkCmdWriteTimestamp(commands.raw, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, profiler.pool.raw, UInt32(index))
  }

  consuming func finish() throws(VulkanError) -> CommandBuffer {
    if writesReadback { barrier(from: .all, to: .host) }
    try objects.device.check(vkEndCommandBuffer(commands.raw), "vkEndCommandBuffer")
    return CommandBuffer(objects, handle: commands, dispatchCount: dispatchCount, barrierCount: barrierCount)
  }

  // MARK: Descriptors

  private mutating func bind(
    _ bindings: [BoundResource], of kernel: Kernel, in set: Handle
  ) throws(VulkanError) -> [HazardTracker.Touch] {
    var touches: [HazardTracker.Touch] = []
    var infos = [VkDescriptorBufferInfo](repeating: .init(), count: bindings.count)
    var views = [VkBufferView?](repeating: nil, count: bindings.count)
    // An unused binding that the shader declares as written gets what the dispatch writes anyway: one placeholder for
    // all would be a hazard between dispatches in the eyes of synchronisation validation.
    let written = zip(bindings, kernel.source.bindings).lazy.compactMap { resource, binding -> BufferSlice? in
      guard case .buffer(let slice) = resource, binding.access.writes else { return nil }
      return slice
    }.first
    for (i, (resource, binding)) in zip(bindings, kernel.source.bindings).enumerated() {
      switch resource {
      case .unused where binding.kind == .storageBuffer:
        infos[i] = VkDescriptorBufferInfo(binding.access.writes ? written ?? placeholder.whole : placeholder.whole)
      case .unused:
        views[i] = try objects.view(placeholder.whole, .r32f).raw
      case .buffer(let slice):
        precondition(binding.kind == .storageBuffer, "'\(kernel.source.name).\(binding.name)' is a texel buffer")
        try checkStorage(slice, kernel, binding)
        infos[i] = VkDescriptorBufferInfo(slice)
        touches.append(touch(slice, writes: binding.access.writes))
      case .texels(let slice, let format):
        precondition(binding.kind != .storageBuffer, "'\(kernel.source.name).\(binding.name)' is a storage buffer")
        try checkTexels(slice, format, kernel, binding)
        views[i] = try objects.view(slice, format).raw
        touches.append(touch(slice, writes: binding.access.writes))
      }
    }
    guard !bindings.isEmpty else { return [] }
    let device = objects.device
    device.counters.add(\.vkUpdateDescriptorSets)
    infos.withUnsafeBufferPointer { infos in
      views.withUnsafeBufferPointer { views in
        let writes = kernel.source.bindings.enumerated().map { i, binding in
          var write = VkWriteDescriptorSet()
          write.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET
          write.dstSet = set.raw
          write.dstBinding = binding.index
          write.descriptorCount = 1
          write.descriptorType = binding.kind.vulkan
          write.pBufferInfo = infos.baseAddress.map { $0 + i }
          write.pTexelBufferView = views.baseAddress.map { $0 + i }
          return write
        }
        vkUpdateDescriptorSets(device.handle.raw, UInt32(writes.count), writes, 0, nil)
      }
    }
    return touches
  }

  private func checkStorage(
    _ slice: BufferSlice, _ kernel: Kernel, _ binding: KernelSource.Binding
  ) throws(VulkanError) {
    precondition(slice.offset % BufferSlice.alignment == 0, "slice of '\(slice.buffer.label)' at \(slice.offset)")
    let limit = objects.device.plan.snapshot.limits.storageBufferRange
    guard slice.bytes <= limit else {
      throw .limitExceeded(
        what: "kernel '\(kernel.source.name)' bytes of binding '\(binding.name)' (maxStorageBufferRange)",
        asked: slice.bytes, limit: limit)
    }
  }

  private func checkTexels(
    _ slice: BufferSlice, _ format: TexelFormat, _ kernel: Kernel, _ binding: KernelSource.Binding
  ) throws(VulkanError) {
    precondition(slice.offset % BufferSlice.alignment == 0, "slice of '\(slice.buffer.label)' at \(slice.offset)")
    precondition(slice.bytes % format.bytes == 0, "\(slice.bytes) bytes of \(format) texels")
    let snapshot = objects.device.plan.snapshot
    let formats = binding.kind == .uniformTexelBuffer ? snapshot.uniformTexelFormats : snapshot.storageTexelFormats
    guard formats.contains(format) else {
      throw .unsupportedTexelFormat(kernel: kernel.source.name, binding: binding.name, format: format)
    }
    guard slice.bytes / format.bytes <= snapshot.limits.texelBufferElements else {
      throw .limitExceeded(
        what: "kernel '\(kernel.source.name)' texels of binding '\(binding.name)' (maxTexelBufferElements)",
        asked: slice.bytes / format.bytes, limit: snapshot.limits.texelBufferElements)
    }
  }

  // MARK: Barriers

  private struct Stages {
    var stages: UInt32 = 0
    var reads: UInt32 = 0
    var writes: UInt32 = 0

    static let compute = Stages(
      stages: VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT.rawValue, reads: VK_ACCESS_SHADER_READ_BIT.rawValue,
      writes: VK_ACCESS_SHADER_WRITE_BIT.rawValue)
    static let transfer = Stages(
      stages: VK_PIPELINE_STAGE_TRANSFER_BIT.rawValue, reads: VK_ACCESS_TRANSFER_READ_BIT.rawValue,
      writes: VK_ACCESS_TRANSFER_WRITE_BIT.rawValue)
    static let host = Stages(
      stages: VK_PIPELINE_STAGE_HOST_BIT.rawValue, reads: VK_ACCESS_HOST_READ_BIT.rawValue,
      writes: VK_ACCESS_HOST_WRITE_BIT.rawValue)
    static let all = compute.union(transfer)

    func union(_ other: Stages) -> Stages {
      Stages(stages: stages | other.stages, reads: reads | other.reads, writes: writes | other.writes)
    }
  }

  private mutating func touch(_ slice: BufferSlice, writes: Bool) -> HazardTracker.Touch {
    objects.keep(slice.buffer)
    if writes && slice.buffer.kind == .readback { writesReadback = true }
    return HazardTracker.Touch(buffer: slice.buffer.handle.number, range: slice.range, writes: writes)
  }

  /// Puts a barrier before the next command where its touches need one.
  private mutating func order(_ touches: [HazardTracker.Touch], on stage: Stages) {
    if hazards.needsBarrier(before: touches) {
      // Only the stages used since the last barrier can hold what the next command waits for. Later commands of either
      // kind rely on this barrier too, since it clears the list.
      barrier(from: stages, to: .all)
      stages = Stages()
      barrierCount += 1
    }
    stages = stages.union(stage)
  }

  private func barrier(from: Stages, to: Stages) {
    var memory = VkMemoryBarrier()
    memory.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER
    memory.srcAccessMask = from.writes
    memory.dstAccessMask = to.reads | to.writes
    vkCmdPipelineBarrier(commands.raw, from.stages, to.stages, 0, 1, &memory, 0, nil, 0, nil)
  }
}

extension VkDescriptorBufferInfo {
  fileprivate init(_ slice: BufferSlice) {
    self.init(buffer: slice.buffer.handle.raw, offset: UInt64(slice.offset), range: UInt64(slice.bytes))
  }
}
