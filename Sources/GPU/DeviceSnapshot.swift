import CVulkan

/// What one physical device says about itself: plain data, so that decisions on it are tested without a device.
package struct DeviceSnapshot: Sendable, Hashable {
  package enum Kind: String, Sendable, Hashable { case discrete, integrated, virtual, cpu, other }

  package struct QueueFamily: Sendable, Hashable {
    package var graphics = false
    package var compute = true
    /// Bits of a timestamp that count, 0 where the family has no timestamps.
    package var timestampBits = 64

    package init(graphics: Bool = false, compute: Bool = true, timestampBits: Int = 64) {
      self.graphics = graphics
      self.compute = compute
      self.timestampBits = timestampBits
    }
  }

  package struct MemoryHeap: Sendable, Hashable {
    package var bytes: Int
    package var isDeviceLocal: Bool

    package init(bytes: Int, isDeviceLocal: Bool) {
      self.bytes = bytes
      self.isDeviceLocal = isDeviceLocal
    }
  }

  /// `VkMemoryPropertyFlagBits` that the engine looks at.
  package struct MemoryProperties: OptionSet, Sendable, Hashable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package static let deviceLocal = Self(rawValue: 1)
    package static let hostVisible = Self(rawValue: 2)
    package static let hostCoherent = Self(rawValue: 4)
    package static let hostCached = Self(rawValue: 8)
    /// Lazily allocated, protected and AMD's debugging types: not for buffers.
    package static let special = Self(rawValue: 0x10 | 0x20 | 0x40 | 0x80)
  }

  package struct MemoryType: Sendable, Hashable {
    package var heap: Int
    package var properties: MemoryProperties

    package init(heap: Int, properties: MemoryProperties) {
      self.heap = heap
      self.properties = properties
    }
  }

  package struct Limits: Sendable, Hashable {
    package var groups: [Int] = [65_535, 65_535, 65_535]
    package var workgroupSize: [Int] = [128, 128, 64]
    package var workgroupInvocations = 128
    package var sharedMemoryBytes = 16_384
    package var pushConstantBytes = 128
    package var storageBufferRange = 1 << 27
    package var texelBufferElements = 65_536
    /// That a compute shader may bind.
    package var storageBuffers = 16
    package var allocationBytes = 1 << 30
    /// Nanoseconds per timestamp tick.
    package var timestampPeriod = 1.0

    package init() {}
  }

  package struct Subgroups: Sendable, Hashable {
    package var size = 32
    /// The sizes a pipeline may ask for, where the device lets a compute pipeline ask.
    package var choices: ClosedRange<Int>?
    /// `maxComputeWorkgroupSubgroups`, the limit that comes with asking.
    package var perWorkgroup = 0
    package var shufflesInCompute = true

    package init(
      size: Int = 32, choices: ClosedRange<Int>? = nil, perWorkgroup: Int = 0, shufflesInCompute: Bool = true
    ) {
      self.size = size
      self.choices = choices
      self.perWorkgroup = perWorkgroup
      self.shufflesInCompute = shufflesInCompute
    }
  }

  package var name: String
  package var kind: Kind
  /// Position in the driver's list.
  package var index: Int
  /// Major and minor Vulkan version.
  package var version = [1, 2]
  package var driverID: UInt32 = 0
  package var driverName = ""
  package var driverInfo = ""
  package var driverVersion: UInt32 = 0
  package var vendorID: UInt32 = 0
  package var deviceID: UInt32 = 0
  /// 16 bytes; equal for one GPU behind two drivers.
  package var uuid: [UInt8] = []
  /// 16 bytes that change with device and driver build.
  package var pipelineCacheUUID: [UInt8] = []
  package var limits = Limits()
  package var subgroups = Subgroups()
  package var robustBufferAccess = true
  /// Stores outside of what is bound are discarded (`robustBufferAccess2`).
  package var discardsOutside = false
  package var timelineSemaphore = true
  package var shaderFloat16 = false
  package var vulkanMemoryModel = false
  /// What subgroups can multiply at once, empty without matrix units.
  package var matrixUnits: [MatrixUnit] = []
  /// Whether the driver tells what its compiler made of a kernel.
  package var executableInfo = false
  /// Integers of 64 bits, which lanes can exchange, too.
  package var shaderInt64 = false
  /// Shaders may read a buffer by its address.
  package var bufferAddresses = false
  /// Push constants may have 8 bits.
  package var bytePushConstants = false
  package var uniformTexelFormats = Set(TexelFormat.allCases)
  package var storageTexelFormats = Set(TexelFormat.allCases)
  /// Of a software device's processor.
  package var longestLoop = LongestLoop.instructions4000
  package var queueFamilies = [QueueFamily()]
  package var heaps: [MemoryHeap] = []
  package var memoryTypes: [MemoryType] = []

  /// The width of the vectors that Mesa's software driver computes with, a lane of a subgroup for 32 bits; nil for others.
  package var vectorBits: Int? { driverID == VK_DRIVER_ID_MESA_LLVMPIPE.rawValue ? 32 * subgroups.size : nil }
  package var extensions: Set<String> = []

  /// A device that has just what the engine needs; tests change what they are about.
  package init(name: String, kind: Kind, index: Int = 0) {
    self.name = name
    self.kind = kind
    self.index = index
  }
}

extension DeviceSnapshot {
  init(reading device: Handle, of instance: Handle, index: Int) throws(VulkanError) {
    var scratch = Scratch()
    defer { scratch.free() }
    let raw = device.raw
    let extensions = try enumerate("vkEnumerateDeviceExtensionProperties", of: VkExtensionProperties()) {
      vkEnumerateDeviceExtensionProperties(raw, nil, $0, $1)
    }

    var basic = VkPhysicalDeviceProperties()
    vkGetPhysicalDeviceProperties(raw, &basic)
    self.init(name: text(basic.deviceName), kind: Kind(basic.deviceType), index: index)
    if kind == .cpu { longestLoop = Processor.current.longestLoop }
    self.extensions = Set(extensions.map { text($0.extensionName) })
    version = [Int(basic.apiVersion >> 22 & 0x7f), Int(basic.apiVersion >> 12 & 0x3ff)]
    driverVersion = basic.driverVersion
    vendorID = basic.vendorID
    deviceID = basic.deviceID
    pipelineCacheUUID = withUnsafeBytes(of: basic.pipelineCacheUUID) { Array($0) }
    limits = Limits(basic.limits)
    // The queries below exist from 1.2 on; DevicePlan refuses what is older.
    guard basic.apiVersion >= apiVersion(1, 2) else { return }

    let control = scratch.one(VkPhysicalDeviceSubgroupSizeControlProperties())
    control.pointee.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES
    let controlFeatures = scratch.one(VkPhysicalDeviceSubgroupSizeControlFeatures())
    controlFeatures.pointee.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES
    let hasControl = self.extensions.contains(VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME)

    let properties12 = scratch.one(VkPhysicalDeviceVulkan12Properties())
    properties12.pointee.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_PROPERTIES
    properties12.pointee.pNext = hasControl ? UnsafeMutableRawPointer(control) : nil
    let properties11 = scratch.one(VkPhysicalDeviceVulkan11Properties())
    properties11.pointee.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES
    properties11.pointee.pNext = UnsafeMutableRawPointer(properties12)
    var properties = VkPhysicalDeviceProperties2()
    properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2
    properties.pNext = UnsafeMutableRawPointer(properties11)
    vkGetPhysicalDeviceProperties2(raw, &properties)

    let executableFeatures = scratch.one(VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR())
    executableFeatures.pointee.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR
    let hasExecutableInfo = self.extensions.contains(VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME)
    let robustness = scratch.one(VkPhysicalDeviceRobustness2FeaturesEXT())
    robustness.pointee.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ROBUSTNESS_2_FEATURES_EXT
    robustness.pointee.pNext = hasExecutableInfo ? UnsafeMutableRawPointer(executableFeatures) : nil
    let hasRobustness = self.extensions.contains(VK_EXT_ROBUSTNESS_2_EXTENSION_NAME)
    controlFeatures.pointee.pNext =
      hasRobustness ? UnsafeMutableRawPointer(robustness) : robustness.pointee.pNext
    let matrixFeatures = scratch.one(GraftCooperativeMatrixFeatures())
    matrixFeatures.pointee.sType = GRAFT_COOPERATIVE_MATRIX_FEATURES
    matrixFeatures.pointee.pNext =
      hasControl ? UnsafeMutableRawPointer(controlFeatures) : controlFeatures.pointee.pNext
    let hasMatrices = self.extensions.contains(MatrixUnit.deviceExtension)
    let features12 = scratch.one(VkPhysicalDeviceVulkan12Features())
    features12.pointee.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES
    features12.pointee.pNext =
      hasMatrices ? UnsafeMutableRawPointer(matrixFeatures) : matrixFeatures.pointee.pNext
    var features = VkPhysicalDeviceFeatures2()
    features.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2
    features.pNext = UnsafeMutableRawPointer(features12)
    vkGetPhysicalDeviceFeatures2(raw, &features)

    driverID = properties12.pointee.driverID.rawValue
    driverName = text(properties12.pointee.driverName)
    driverInfo = text(properties12.pointee.driverInfo)
    uuid = withUnsafeBytes(of: properties11.pointee.deviceUUID) { Array($0) }
    limits.allocationBytes = Int(clamping: properties11.pointee.maxMemoryAllocationSize)
    robustBufferAccess = features.features.robustBufferAccess != 0
    discardsOutside = robustBufferAccess && robustness.pointee.robustBufferAccess2 != 0
    shaderInt64 = features.features.shaderInt64 != 0 && features12.pointee.shaderSubgroupExtendedTypes != 0
    bufferAddresses = features12.pointee.bufferDeviceAddress != 0
    bytePushConstants = features12.pointee.storagePushConstant8 != 0
    timelineSemaphore = features12.pointee.timelineSemaphore != 0
    shaderFloat16 = features12.pointee.shaderFloat16 != 0
    vulkanMemoryModel = features12.pointee.vulkanMemoryModel != 0
    if matrixFeatures.pointee.cooperativeMatrix != 0 { matrixUnits = try MatrixUnit.all(of: device, instance) }
    executableInfo = executableFeatures.pointee.pipelineExecutableInfo != 0

    let compute = VK_SHADER_STAGE_COMPUTE_BIT.rawValue
    subgroups.size = Int(properties11.pointee.subgroupSize)
    subgroups.shufflesInCompute =
      properties11.pointee.subgroupSupportedStages & compute != 0
      && properties11.pointee.subgroupSupportedOperations & VK_SUBGROUP_FEATURE_SHUFFLE_BIT.rawValue != 0
    subgroups.choices = nil
    if hasControl, controlFeatures.pointee.subgroupSizeControl != 0, controlFeatures.pointee.computeFullSubgroups != 0,
      control.pointee.requiredSubgroupSizeStages & compute != 0
    {
      subgroups.choices = Int(control.pointee.minSubgroupSize)...Int(control.pointee.maxSubgroupSize)
      subgroups.perWorkgroup = Int(control.pointee.maxComputeWorkgroupSubgroups)
    }

    var families: UInt32 = 0
    vkGetPhysicalDeviceQueueFamilyProperties(raw, &families, nil)
    var queues = [VkQueueFamilyProperties](repeating: .init(), count: Int(families))
    vkGetPhysicalDeviceQueueFamilyProperties(raw, &families, &queues)
    queueFamilies = queues.map {
      QueueFamily(
        graphics: $0.queueFlags & VK_QUEUE_GRAPHICS_BIT.rawValue != 0,
        compute: $0.queueFlags & VK_QUEUE_COMPUTE_BIT.rawValue != 0, timestampBits: Int($0.timestampValidBits))
    }

    var memory = VkPhysicalDeviceMemoryProperties()
    vkGetPhysicalDeviceMemoryProperties(raw, &memory)
    heaps = withUnsafeBytes(of: memory.memoryHeaps) { bytes in
      bytes.bindMemory(to: VkMemoryHeap.self).prefix(Int(memory.memoryHeapCount)).map {
        MemoryHeap(
          bytes: Int(clamping: $0.size), isDeviceLocal: $0.flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT.rawValue != 0)
      }
    }
    memoryTypes = withUnsafeBytes(of: memory.memoryTypes) { bytes in
      bytes.bindMemory(to: VkMemoryType.self).prefix(Int(memory.memoryTypeCount)).map {
        MemoryType(heap: Int($0.heapIndex), properties: MemoryProperties(rawValue: $0.propertyFlags))
      }
    }

    func formats(with feature: VkFormatFeatureFlagBits) -> Set<TexelFormat> {
      Set(
        TexelFormat.allCases.filter {
          var properties = VkFormatProperties()
          vkGetPhysicalDeviceFormatProperties(raw, $0.vulkan, &properties)
          return properties.bufferFeatures & feature.rawValue != 0
        })
    }
    uniformTexelFormats = formats(with: VK_FORMAT_FEATURE_UNIFORM_TEXEL_BUFFER_BIT)
    storageTexelFormats = formats(with: VK_FORMAT_FEATURE_STORAGE_TEXEL_BUFFER_BIT)
  }
}

extension DeviceSnapshot.Kind {
  init(_ type: VkPhysicalDeviceType) {
    switch type {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: self = .discrete
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: self = .integrated
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: self = .virtual
    case VK_PHYSICAL_DEVICE_TYPE_CPU: self = .cpu
    default: self = .other
    }
  }
}

extension DeviceSnapshot.Limits {
  init(_ limits: VkPhysicalDeviceLimits) {
    groups = withUnsafeBytes(of: limits.maxComputeWorkGroupCount) { $0.bindMemory(to: UInt32.self).map(Int.init) }
    workgroupSize = withUnsafeBytes(of: limits.maxComputeWorkGroupSize) { $0.bindMemory(to: UInt32.self).map(Int.init) }
    workgroupInvocations = Int(limits.maxComputeWorkGroupInvocations)
    sharedMemoryBytes = Int(limits.maxComputeSharedMemorySize)
    pushConstantBytes = Int(limits.maxPushConstantsSize)
    storageBufferRange = Int(limits.maxStorageBufferRange)
    texelBufferElements = Int(limits.maxTexelBufferElements)
    storageBuffers = Int(min(limits.maxPerStageDescriptorStorageBuffers, limits.maxDescriptorSetStorageBuffers))
    timestampPeriod = Double(limits.timestampPeriod)
  }
}
