import CVulkan
import Synchronization

/// Recorded commands. Submit it as often as wanted, also while it is pending.
///
/// It keeps every buffer and kernel it uses alive, and its release waits until the device is done with it.
package final class CommandBuffer: Sendable {
  package let dispatchCount: Int
  package let barrierCount: Int
  let handle: Handle
  let lastSubmission = Atomic<UInt64>(0)
  private let objects: RecordedObjects

  init(_ objects: RecordedObjects, handle: Handle, dispatchCount: Int, barrierCount: Int) {
    self.objects = objects
    self.handle = handle
    self.dispatchCount = dispatchCount
    self.barrierCount = barrierCount
  }

  deinit {
    let value = lastSubmission.load(ordering: .acquiring)
    // A lost device has stopped using the objects too.
    if value > 0 { try? objects.device.wait(for: value) }
  }
}

/// What a submission will reach.
package struct Ticket: Sendable {
  let device: LogicalDevice
  let value: UInt64

  /// Blocks until the submission and all before it are done. Throws `deviceLost`.
  package func wait() throws(VulkanError) { try device.wait(for: value) }

  /// Blocks until then, but no longer than `seconds`; false if it is not done. Throws `deviceLost`.
  package func wait(seconds: Double) throws(VulkanError) -> Bool {
    try device.wait(for: value, nanoseconds: UInt64(max(0, seconds) * 1e9))
  }

  /// True also on a lost device; `wait` then throws.
  package var isDone: Bool { device.isDone(value) }
}

/// The Vulkan objects made while recording, destroyed together.
///
/// Unchecked: a Recorder fills it as its only user, and a CommandBuffer never changes it. Its pools are its own, so
/// nothing needs a lock.
final class RecordedObjects: @unchecked Sendable {
  let device: LogicalDevice
  private let commandPool: Handle
  private var setPools: [Handle] = []
  private var room = Room()
  private var views: [ViewKey: Handle] = [:]
  private var retained: [ObjectIdentifier: AnyObject] = [:]

  private struct ViewKey: Hashable {
    let slice: BufferSlice
    let format: TexelFormat
  }

  /// What the newest descriptor pool has left.
  private struct Room {
    var sets = 0
    var descriptors: [VkDescriptorType.RawValue: Int] = [:]
  }

  init(_ device: LogicalDevice) throws(VulkanError) {
    self.device = device
    var info = VkCommandPoolCreateInfo()
    info.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO
    info.queueFamilyIndex = UInt32(device.plan.queueFamily)
    commandPool = try device.create("vkCreateCommandPool") {
      vkCreateCommandPool(device.handle.raw, &info, nil, &$0)
    }
  }

  deinit {
    vkDestroyCommandPool(device.handle.raw, commandPool.raw, nil)
    for pool in setPools { vkDestroyDescriptorPool(device.handle.raw, pool.raw, nil) }
    for view in views.values { vkDestroyBufferView(device.handle.raw, view.raw, nil) }
  }

  func makeCommands() throws(VulkanError) -> Handle {
    var info = VkCommandBufferAllocateInfo()
    info.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO
    info.commandPool = commandPool.raw
    info.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY
    info.commandBufferCount = 1
    return try device.create("vkAllocateCommandBuffers") {
      vkAllocateCommandBuffers(device.handle.raw, &info, &$0)
    }
  }

  func keep(_ object: AnyObject) { retained[ObjectIdentifier(object)] = object }

  func view(_ slice: BufferSlice, _ format: TexelFormat) throws(VulkanError) -> Handle {
    let key = ViewKey(slice: slice, format: format)
    if let view = views[key] { return view }
    var info = VkBufferViewCreateInfo()
    info.sType = VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO
    info.buffer = slice.buffer.handle.raw
    info.format = format.vulkan
    info.offset = UInt64(slice.offset)
    info.range = UInt64(slice.bytes)
    device.counters.add(\.vkCreateBufferView)
    let view = try device.create("vkCreateBufferView") { vkCreateBufferView(device.handle.raw, &info, nil, &$0) }
    views[key] = view
    return view
  }

  func descriptorSet(for kernel: Kernel) throws(VulkanError) -> Handle {
    var needed: [VkDescriptorType.RawValue: Int] = [:]
    for binding in kernel.source.bindings { needed[binding.kind.vulkan.rawValue, default: 0] += 1 }
    if room.sets == 0 || needed.contains(where: { $0.value > room.descriptors[$0.key, default: 0] }) {
      try addPool(atLeast: needed)
    }
    room.sets -= 1
    for (type, count) in needed { room.descriptors[type, default: 0] -= count }

    var layout: VkDescriptorSetLayout? = kernel.setLayout.raw
    let pool = setPools[setPools.count - 1]
    return try device.create("vkAllocateDescriptorSets") { set in
      withUnsafePointer(to: &layout) { layout in
        var info = VkDescriptorSetAllocateInfo()
        info.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO
        info.descriptorPool = pool.raw
        info.descriptorSetCount = 1
        info.pSetLayouts = layout
        return vkAllocateDescriptorSets(device.handle.raw, &info, &set)
      }
    }
  }

  private func addPool(atLeast needed: [VkDescriptorType.RawValue: Int]) throws(VulkanError) {
    var fresh = Room(
      sets: 256,
      descriptors: [
        VK_DESCRIPTOR_TYPE_STORAGE_BUFFER.rawValue: 1024, VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER.rawValue: 512,
        VK_DESCRIPTOR_TYPE_STORAGE_TEXEL_BUFFER.rawValue: 64,
      ])
    fresh.descriptors.merge(needed, uniquingKeysWith: max)
    var scratch = Scratch()
    defer { scratch.free() }
    let sizes = fresh.descriptors.map {
      VkDescriptorPoolSize(type: VkDescriptorType(rawValue: $0.key), descriptorCount: UInt32($0.value))
    }
    var info = VkDescriptorPoolCreateInfo()
    info.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO
    info.maxSets = UInt32(fresh.sets)
    info.poolSizeCount = UInt32(sizes.count)
    info.pPoolSizes = UnsafePointer(scratch.array(sizes))
    setPools.append(
      try device.create("vkCreateDescriptorPool") { vkCreateDescriptorPool(device.handle.raw, &info, nil, &$0) })
    room = fresh
  }
}
