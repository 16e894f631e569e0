import CVulkan
import Synchronization

/// What a buffer is for, which decides its memory.
package enum BufferKind: Sendable, Hashable {
  /// The device's own memory; the host reaches it through `Device.upload` and `download` only.
  case device
  /// Written by the host through `Buffer.contents`, read by the device.
  case upload
  /// Written by the device, read by the host through `Buffer.contents`.
  case readback
}

/// A range of device memory; freed with `Allocator.free`.
///
/// Unchecked: `mapped` is the address of a persistent mapping and stays the same until the range is freed.
struct Allocation: @unchecked Sendable {
  let memory: Handle
  let offset: Int
  let bytes: Int
  let mapped: UnsafeMutableRawPointer?
  let isCoherent: Bool
  fileprivate let block: Int
}

/// Device memory, sub-allocated: drivers may allow only 4096 allocations, and each one is slow.
final class Allocator: Sendable {
  /// Every sub-range begins and ends at a multiple of this: the largest value Vulkan allows for
  /// `minStorageBufferOffsetAlignment`, `minTexelBufferOffsetAlignment` and `nonCoherentAtomSize`.
  static let alignment = 256

  private struct Block {
    let memory: Handle
    let type: Int
    /// Address of the persistent mapping, 0 where the host cannot see the memory.
    let mapped: UInt
    var free: FreeList
  }

  private struct State {
    var blocks: [Int: Block] = [:]
    var nextBlock = 0
    var bytes = 0
    var peak = 0
  }

  private let device: Handle
  private let snapshot: DeviceSnapshot
  private let usesAddresses: Bool
  private let counters: Counters
  private let state = Mutex(State())

  init(device: Handle, plan: DevicePlan, counters: Counters) {
    self.device = device
    snapshot = plan.snapshot
    usesAddresses = plan.usesAddresses
    self.counters = counters
  }

  var bytes: Int { state.withLock { $0.bytes } }
  var peak: Int { state.withLock { $0.peak } }

  func allocate(
    _ requirements: VkMemoryRequirements, kind: BufferKind, label: String
  ) throws(VulkanError) -> Allocation {
    let bytes = (Int(requirements.size) + Self.alignment - 1) / Self.alignment * Self.alignment
    let alignment = max(Int(requirements.alignment), Self.alignment)
    return try state.withLock { state throws(VulkanError) in
      var failure = VulkanError.unsuitableDevice(name: snapshot.name, reason: "no memory type for \(kind) buffers")
      for type in snapshot.memoryTypes(for: kind, allowed: requirements.memoryTypeBits) {
        do throws(VulkanError) {
          let (id, offset) = try place(bytes, alignment, type, label, &state)
          guard let block = state.blocks[id] else { preconditionFailure("a block that was just used") }
          state.bytes += bytes
          state.peak = max(state.peak, state.bytes)
          return Allocation(
            memory: block.memory, offset: offset, bytes: bytes,
            mapped: UnsafeMutableRawPointer(bitPattern: block.mapped)?.advanced(by: offset),
            isCoherent: snapshot.memoryTypes[type].properties.contains(.hostCoherent), block: id)
        } catch {
          guard case .outOfMemory = error else { throw error }
          failure = error
        }
      }
      throw failure
    }
  }

  func free(_ allocation: Allocation) {
    state.withLock { state in
      guard var block = state.blocks[allocation.block] else { preconditionFailure("memory freed twice") }
      state.bytes -= allocation.bytes
      block.free.give(allocation.offset..<allocation.offset + allocation.bytes)
      state.blocks[allocation.block] = block.free.isUnused ? nil : block
      if block.free.isUnused { vkFreeMemory(device.raw, block.memory.raw, nil) }
    }
  }

  /// 256 MiB, or an eighth of a small heap; what is larger than half of it gets memory of its own.
  private func blockBytes(_ type: Int) -> Int {
    let eighth = snapshot.heaps[snapshot.memoryTypes[type].heap].bytes / 8
    return max(1, min(256 << 20, eighth, snapshot.limits.allocationBytes) / Self.alignment) * Self.alignment
  }

  private func place(
    _ bytes: Int, _ alignment: Int, _ type: Int, _ label: String, _ state: inout State
  ) throws(VulkanError) -> (block: Int, offset: Int) {
    let shared = bytes <= blockBytes(type) / 2
    if shared {
      // In order of age, so that the same requests always land at the same places.
      for id in state.blocks.keys.sorted() where state.blocks[id]?.type == type {
        if let offset = state.blocks[id]?.free.take(bytes, alignment: alignment) { return (id, offset) }
      }
    }
    var size = shared ? blockBytes(type) : bytes
    let memory: (handle: Handle, mapped: UInt)
    do throws(VulkanError) {
      memory = try newMemory(size, type, asked: bytes, label)
    } catch {
      guard case .outOfMemory = error, size > bytes else { throw error }
      // A heap that is nearly full may still hold this one.
      size = bytes
      memory = try newMemory(size, type, asked: bytes, label)
    }
    let id = state.nextBlock
    state.nextBlock += 1
    var free = FreeList(capacity: size)
    guard let offset = free.take(bytes, alignment: alignment) else { preconditionFailure("a new block is too small") }
    state.blocks[id] = Block(memory: memory.handle, type: type, mapped: memory.mapped, free: free)
    return (id, offset)
  }

  private func newMemory(
    _ bytes: Int, _ type: Int, asked: Int, _ label: String
  ) throws(VulkanError) -> (handle: Handle, mapped: UInt) {
    let heap = snapshot.heaps[snapshot.memoryTypes[type].heap].bytes
    var scratch = Scratch()
    defer { scratch.free() }
    var flags = VkMemoryAllocateFlagsInfo()
    flags.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO
    flags.flags = usesAddresses ? VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT.rawValue : 0
    var info = VkMemoryAllocateInfo()
    info.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO
    info.pNext = usesAddresses ? UnsafeRawPointer(scratch.one(flags)) : nil
    info.allocationSize = UInt64(bytes)
    info.memoryTypeIndex = UInt32(type)
    counters.add(\.vkAllocateMemory)
    var raw: VkDeviceMemory?
    let result = vkAllocateMemory(device.raw, &info, nil, &raw)
    if result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY {
      throw .outOfMemory(label: label, asked: asked, available: heap)
    }
    try check(result, "vkAllocateMemory")
    guard let raw else { throw .callFailed(function: "vkAllocateMemory", result: "success without a handle") }
    guard snapshot.memoryTypes[type].properties.contains(.hostVisible) else { return (Handle(raw: raw), 0) }
    var address: UnsafeMutableRawPointer?
    do throws(VulkanError) {
      try check(vkMapMemory(device.raw, raw, 0, VkDeviceSize(VK_WHOLE_SIZE), 0, &address), "vkMapMemory")
    } catch {
      vkFreeMemory(device.raw, raw, nil)
      throw error
    }
    return (Handle(raw: raw), UInt(bitPattern: address))
  }
}

extension DeviceSnapshot {
  /// The memory types for buffers of a kind, the best first; `allowed` has a bit for each.
  package func memoryTypes(for kind: BufferKind, allowed: UInt32 = .max) -> [Int] {
    let required: MemoryProperties
    let preferred: MemoryProperties
    switch kind {
    case .device: (required, preferred) = ([], .deviceLocal)
    case .upload: (required, preferred) = ([.hostVisible, .hostCoherent], [])
    case .readback: (required, preferred) = (.hostVisible, .hostCached)
    }
    let usable = memoryTypes.indices.filter {
      let properties = memoryTypes[$0].properties
      return allowed & 1 << UInt32($0) != 0 && properties.isSuperset(of: required)
        && properties.isDisjoint(with: .special)
    }
    // Vulkan orders types so that the first that has what is asked for is the fastest.
    let best = usable.filter { memoryTypes[$0].properties.isSuperset(of: preferred) }
    let types = best + usable.filter { !best.contains($0) }
    // A step that reads the host's memory through the bus takes many times as long: an error is better. Memory that is one with the
    // host's may be listed in parts.
    guard kind == .device, self.kind != .integrated, let first = types.first else { return types }
    return types.filter { memoryTypes[$0].heap == memoryTypes[first].heap }
  }
}
