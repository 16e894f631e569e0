import CVulkan

/// Memory with one place of release: `deinit`.
package final class Buffer: Sendable {
  package let bytes: Int
  package let kind: BufferKind
  package let label: String
  let handle: Handle
  private let device: LogicalDevice
  private let allocation: Allocation

  init(_ device: LogicalDevice, bytes: Int, kind: BufferKind, label: String) throws(VulkanError) {
    precondition(bytes > 0, "buffer '\(label)' of \(bytes) bytes")
    // Asked before the driver is: some accept a buffer of any size, and the error could not name the heap.
    let heap = device.plan.snapshot.heaps.map(\.bytes).max() ?? 0
    guard bytes <= heap else { throw .outOfMemory(label: label, asked: bytes, available: heap) }
    let limit = device.plan.snapshot.limits.allocationBytes
    guard bytes <= limit else {
      throw .limitExceeded(what: "bytes of buffer '\(label)' (maxMemoryAllocationSize)", asked: bytes, limit: limit)
    }

    var info = VkBufferCreateInfo()
    info.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO
    // Mesa's software driver compiles a kernel anew for texel buffers in a buffer of a power of two.
    let isLonger =
      device.plan.snapshot.vectorBits != nil && kind == .device && bytes.nonzeroBitCount == 1 && bytes < limit
    info.size = UInt64(isLonger ? bytes + 4 : bytes)
    info.usage =
      Self.usage | (device.plan.usesAddresses ? VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT.rawValue : 0)
    info.sharingMode = VK_SHARING_MODE_EXCLUSIVE
    device.counters.add(\.vkCreateBuffer)
    let handle = try device.create("vkCreateBuffer") { vkCreateBuffer(device.handle.raw, &info, nil, &$0) }
    do throws(VulkanError) {
      var requirements = VkMemoryRequirements()
      vkGetBufferMemoryRequirements(device.handle.raw, handle.raw, &requirements)
      allocation = try device.allocator.allocate(requirements, kind: kind, label: label)
    } catch {
      vkDestroyBuffer(device.handle.raw, handle.raw, nil)
      throw error
    }
    self.handle = handle
    self.device = device
    self.bytes = bytes
    self.kind = kind
    self.label = label
    device.name(handle, VK_OBJECT_TYPE_BUFFER, label)
    try device.check(
      vkBindBufferMemory(device.handle.raw, handle.raw, allocation.memory.raw, UInt64(allocation.offset)),
      "vkBindBufferMemory")
  }

  deinit {
    vkDestroyBuffer(device.handle.raw, handle.raw, nil)
    device.allocator.free(allocation)
  }

  /// The bytes of an `upload` or `readback` buffer; nil for `device` buffers.
  ///
  /// Ask again after each wait: asking makes the device's writes visible where the memory is not coherent. Touch the
  /// bytes only while no submitted command uses them.
  package var contents: UnsafeMutableRawBufferPointer? {
    guard kind != .device, let mapped = allocation.mapped else { return nil }
    if !allocation.isCoherent {
      var range = mappedRange
      vkInvalidateMappedMemoryRanges(device.handle.raw, 1, &range)
    }
    return UnsafeMutableRawBufferPointer(start: mapped, count: bytes)
  }

  /// Makes what the host wrote into `contents` visible to the device; `upload` buffers, always coherent, need it not.
  func flush() {
    guard !allocation.isCoherent else { return }
    var range = mappedRange
    vkFlushMappedMemoryRanges(device.handle.raw, 1, &range)
  }

  private var mappedRange: VkMappedMemoryRange {
    var range = VkMappedMemoryRange()
    range.sType = VK_STRUCTURE_TYPE_MAPPED_MEMORY_RANGE
    range.memory = allocation.memory.raw
    range.offset = UInt64(allocation.offset)
    range.size = UInt64(allocation.bytes)
    return range
  }

  /// What shaders may read it by, where the plan uses addresses.
  var address: UInt64 {
    var info = VkBufferDeviceAddressInfo()
    info.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO
    info.buffer = handle.raw
    return vkGetBufferDeviceAddress(device.handle.raw, &info)
  }

  package func slice(offset: Int, bytes: Int) -> BufferSlice { BufferSlice(buffer: self, offset: offset, bytes: bytes) }

  package var whole: BufferSlice { slice(offset: 0, bytes: bytes) }

  private static let usage =
    VK_BUFFER_USAGE_STORAGE_BUFFER_BIT.rawValue | VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT.rawValue
    | VK_BUFFER_USAGE_STORAGE_TEXEL_BUFFER_BIT.rawValue | VK_BUFFER_USAGE_TRANSFER_SRC_BIT.rawValue
    | VK_BUFFER_USAGE_TRANSFER_DST_BIT.rawValue
}

extension Buffer: Hashable {
  package static func == (a: Buffer, b: Buffer) -> Bool { a === b }
  package func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}

/// A byte range of a buffer.
package struct BufferSlice: Sendable, Hashable {
  /// Offsets of slices that are bound to kernels are multiples of this.
  package static let alignment = Allocator.alignment

  package let buffer: Buffer
  package let offset: Int
  package let bytes: Int

  package init(buffer: Buffer, offset: Int, bytes: Int) {
    precondition(
      offset >= 0 && bytes > 0 && offset + bytes <= buffer.bytes,
      "slice \(offset)+\(bytes) of '\(buffer.label)' with \(buffer.bytes) bytes")
    self.buffer = buffer
    self.offset = offset
    self.bytes = bytes
  }

  var range: Range<Int> { offset..<offset + bytes }
  var address: UInt64 { buffer.address + UInt64(offset) }
}
