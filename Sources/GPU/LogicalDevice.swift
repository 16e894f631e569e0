import CVulkan
import Synchronization

/// The `VkDevice`, its one queue and its memory: what every GPU object keeps alive.
///
/// `Device` owns buffers and kernels itself, so those refer to this instead of to `Device`.
final class LogicalDevice: Sendable {
  let instance: Instance
  let plan: DevicePlan
  let physical: Handle
  let handle: Handle
  let allocator: Allocator
  let counters: Counters
  private let queue: Handle
  /// Nil on a device opened to compile: a driver without hardware cannot make one.
  private let timeline: Handle?
  /// The timeline value of the newest submission; the lock also serialises access to the queue.
  private let submitted = Mutex<UInt64>(0)
  /// Nil unless the device was opened to compile.
  let executableProperties: ExecutableProperties?
  private let setName: SetObjectName?

  init(plan: DevicePlan, instance: Instance) throws(VulkanError) {
    var scratch = Scratch()
    defer { scratch.free() }
    let physicals = try instance.physicalDevices()
    guard physicals.indices.contains(plan.snapshot.index) else {
      throw .unknownDevice(asked: plan.snapshot.name, present: try instance.snapshots().map(\.name))
    }
    physical = physicals[plan.snapshot.index]

    var queueInfo = VkDeviceQueueCreateInfo()
    queueInfo.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO
    queueInfo.queueFamilyIndex = UInt32(plan.queueFamily)
    queueInfo.queueCount = 1
    queueInfo.pQueuePriorities = UnsafePointer(scratch.one(Float(1)))

    var control = VkPhysicalDeviceSubgroupSizeControlFeatures()
    control.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES
    control.subgroupSizeControl = VkBool32(VK_TRUE)
    control.computeFullSubgroups = VkBool32(VK_TRUE)
    var features12 = VkPhysicalDeviceVulkan12Features()
    features12.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES
    features12.timelineSemaphore = VkBool32(VK_TRUE)
    features12.shaderSubgroupExtendedTypes = plan.snapshot.shaderInt64 ? VkBool32(VK_TRUE) : VkBool32(VK_FALSE)
    features12.bufferDeviceAddress = plan.usesAddresses ? VkBool32(VK_TRUE) : VkBool32(VK_FALSE)
    features12.storagePushConstant8 = plan.usesAddresses ? VkBool32(VK_TRUE) : VkBool32(VK_FALSE)
    features12.shaderFloat16 = plan.snapshot.shaderFloat16 ? VkBool32(VK_TRUE) : VkBool32(VK_FALSE)
    if plan.purpose == .compiling {
      var executable = VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR()
      executable.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR
      executable.pipelineExecutableInfo = VkBool32(VK_TRUE)
      features12.pNext = UnsafeMutableRawPointer(scratch.one(executable))
    }
    if plan.snapshot.discardsOutside {
      var robustness = VkPhysicalDeviceRobustness2FeaturesEXT()
      robustness.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ROBUSTNESS_2_FEATURES_EXT
      robustness.robustBufferAccess2 = VkBool32(VK_TRUE)
      robustness.pNext = features12.pNext
      features12.pNext = UnsafeMutableRawPointer(scratch.one(robustness))
    }
    if plan.traits.matrixUnit != nil {
      var matrices = GraftCooperativeMatrixFeatures()
      matrices.sType = GRAFT_COOPERATIVE_MATRIX_FEATURES
      matrices.cooperativeMatrix = VkBool32(VK_TRUE)
      matrices.pNext = features12.pNext
      features12.pNext = UnsafeMutableRawPointer(scratch.one(matrices))
      features12.vulkanMemoryModel = VkBool32(VK_TRUE)
    }
    if plan.requiredSubgroupSize != nil {
      control.pNext = features12.pNext
      features12.pNext = UnsafeMutableRawPointer(scratch.one(control))
    }
    var features = VkPhysicalDeviceFeatures2()
    features.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2
    features.features.robustBufferAccess = plan.robustBufferAccess ? VkBool32(VK_TRUE) : VkBool32(VK_FALSE)
    features.features.shaderInt64 = plan.snapshot.shaderInt64 ? VkBool32(VK_TRUE) : VkBool32(VK_FALSE)
    features.pNext = UnsafeMutableRawPointer(scratch.one(features12))

    var info = VkDeviceCreateInfo()
    info.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO
    info.pNext = UnsafeRawPointer(scratch.one(features))
    info.queueCreateInfoCount = 1
    info.pQueueCreateInfos = UnsafePointer(scratch.one(queueInfo))
    info.enabledExtensionCount = UInt32(plan.extensions.count)
    info.ppEnabledExtensionNames = scratch.strings(plan.extensions)
    let (physical, log) = (physical, instance.log)
    let device = try GPU.create("vkCreateDevice", messages: log) { vkCreateDevice(physical.raw, &info, nil, &$0) }
    if plan.traits.isSoftware { DriverThreads.spread() }

    var rawQueue: VkQueue?
    vkGetDeviceQueue(device.raw, UInt32(plan.queueFamily), 0, &rawQueue)
    var type = VkSemaphoreTypeCreateInfo()
    type.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO
    type.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE
    var semaphoreInfo = VkSemaphoreCreateInfo()
    semaphoreInfo.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO
    semaphoreInfo.pNext = UnsafeRawPointer(scratch.one(type))
    do throws(VulkanError) {
      guard let rawQueue else { throw .callFailed(function: "vkGetDeviceQueue", result: "no queue") }
      queue = Handle(raw: rawQueue)
      timeline =
        plan.purpose == .compiling
        ? nil
        : try GPU.create("vkCreateSemaphore", messages: log) {
          vkCreateSemaphore(device.raw, &semaphoreInfo, nil, &$0)
        }
    } catch {
      vkDestroyDevice(device.raw, nil)
      throw error
    }
    handle = device
    executableProperties = plan.purpose == .compiling ? ExecutableProperties(device) : nil
    self.instance = instance
    self.plan = plan
    counters = Counters()
    allocator = Allocator(device: device, plan: plan, counters: counters)
    let address = instance.validates ? vkGetInstanceProcAddr(instance.handle.raw, "vkSetDebugUtilsObjectNameEXT") : nil
    setName = address.map { unsafeBitCast($0, to: SetObjectName.self) }
  }

  deinit {
    if let timeline {
      vkDeviceWaitIdle(handle.raw)
      vkDestroySemaphore(handle.raw, timeline.raw, nil)
    }
    vkDestroyDevice(handle.raw, nil)
  }

  func check(_ result: VkResult, _ function: String) throws(VulkanError) {
    try GPU.check(result, function, messages: instance.log)
  }

  func create(_ function: String, _ body: (inout OpaquePointer?) -> VkResult) throws(VulkanError) -> Handle {
    try GPU.create(function, messages: instance.log, body)
  }

  /// Gives an object the name that validation messages show.
  func name(_ object: Handle, _ type: VkObjectType, _ label: String) {
    guard let setName else { return }
    label.withCString {
      var info = VkDebugUtilsObjectNameInfoEXT()
      info.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_OBJECT_NAME_INFO_EXT
      info.objectType = type
      info.objectHandle = object.number
      info.pObjectName = $0
      _ = setName(handle.raw, &info)
    }
  }

  /// What stops work on a device opened to compile.
  var compilesOnly: VulkanError {
    .unsuitableDevice(name: plan.snapshot.name, reason: "it was opened to compile, not to run")
  }

  /// Submits the command buffers in one call; returns the timeline value that marks their end.
  func submit(_ commands: [CommandBuffer]) throws(VulkanError) -> UInt64 {
    guard let timeline else { throw compilesOnly }
    return try submitted.withLock { submitted throws(VulkanError) in
      var value = submitted + 1
      var signal: VkSemaphore? = timeline.raw
      var raw = commands.map { Optional($0.handle.raw) }
      counters.add(\.vkQueueSubmit)
      let result = withUnsafePointer(to: &value) { value in
        withUnsafePointer(to: &signal) { signal in
          var times = VkTimelineSemaphoreSubmitInfo()
          times.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO
          times.signalSemaphoreValueCount = 1
          times.pSignalSemaphoreValues = value
          return withUnsafePointer(to: &times) { times in
            raw.withUnsafeMutableBufferPointer { raw in
              var info = VkSubmitInfo()
              info.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO
              info.pNext = UnsafeRawPointer(times)
              info.commandBufferCount = UInt32(raw.count)
              info.pCommandBuffers = UnsafePointer(raw.baseAddress)
              info.signalSemaphoreCount = 1
              info.pSignalSemaphores = signal
              return vkQueueSubmit(queue.raw, 1, &info, nil)
            }
          }
        }
      }
      try check(result, "vkQueueSubmit")
      submitted = value
      for command in commands { command.lastSubmission.store(value, ordering: .releasing) }
      return value
    }
  }

  func wait(for value: UInt64) throws(VulkanError) { _ = try wait(for: value, nanoseconds: .max) }

  /// False if the time was not enough.
  func wait(for value: UInt64, nanoseconds: UInt64) throws(VulkanError) -> Bool {
    guard let timeline else { return true }
    var value = value
    var semaphore: VkSemaphore? = timeline.raw
    let result = withUnsafePointer(to: &value) { value in
      withUnsafePointer(to: &semaphore) { semaphore in
        var info = VkSemaphoreWaitInfo()
        info.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO
        info.semaphoreCount = 1
        info.pSemaphores = semaphore
        info.pValues = value
        return vkWaitSemaphores(handle.raw, &info, nanoseconds)
      }
    }
    if result == VK_TIMEOUT { return false }
    try check(result, "vkWaitSemaphores")
    return true
  }

  /// True also on a lost device: `wait` then throws instead of blocking.
  func isDone(_ value: UInt64) -> Bool {
    guard let timeline else { return true }
    var reached: UInt64 = 0
    let result = vkGetSemaphoreCounterValue(handle.raw, timeline.raw, &reached)
    return result != VK_SUCCESS || reached >= value
  }

  func waitIdle() throws(VulkanError) {
    try wait(for: submitted.withLock { $0 })
  }

  private typealias SetObjectName =
    @convention(c) (
      VkDevice?, UnsafePointer<VkDebugUtilsObjectNameInfoEXT>?
    ) -> VkResult
}
