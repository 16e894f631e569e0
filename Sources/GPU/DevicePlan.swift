import CVulkan

/// What a device is opened for.
package enum DevicePurpose: Sendable, Hashable {
  case running
  /// Kernels are made and keep what the compiler says about them (`Kernel.statistics`); nothing can be submitted. A driver
  /// without hardware behind it will do.
  case compiling
}

/// The decision which device runs and how, made from snapshots alone; `Device` obeys it.
package struct DevicePlan: Sendable, Hashable {
  package let snapshot: DeviceSnapshot
  package let queueFamily: Int
  /// Device extensions to enable.
  package let extensions: [String]
  package let robustBufferAccess: Bool
  /// Whether buffers have addresses, for what wide forms read (`include/lane_loads.glsl`).
  package let usesAddresses: Bool
  /// The size every compute pipeline asks for (with full subgroups), where the device lets it.
  ///
  /// Without it a driver with several sizes may run another one than it reports, and shuffles reach other lanes.
  package let requiredSubgroupSize: Int?
  package let hasTimestamps: Bool
  package let purpose: DevicePurpose
  package let traits: DeviceTraits

  /// `choosing` is an index into the list or part of a name in any case. Without it the first of discrete, integrated,
  /// virtual and other devices wins; a CPU only where there is nothing else.
  ///
  /// - Parameter precision: what products are computed in; `mixed` makes no difference to a device without matrix units.
  ///
  /// Throws `noDriver`, `unknownDevice`, or `unsuitableDevice` with the missing feature.
  package init(
    choosing: String?, from snapshots: [DeviceSnapshot], for purpose: DevicePurpose = .running,
    precision: Precision = .f32
  ) throws(VulkanError) {
    guard !snapshots.isEmpty else { throw .noDriver }
    let matching = snapshots.enumerated().filter { position, device in
      guard let choosing else { return true }
      if let index = Int(choosing), snapshots.indices.contains(index) { return index == position }
      return device.name.lowercased().contains(choosing.lowercased())
    }.map(\.element)
    let candidates = Self.withoutDuplicates(matching)
    // An earlier device comes first among equals.
    let preferred = candidates.enumerated().sorted {
      ($0.element.kind.preference, $0.offset) < ($1.element.kind.preference, $1.offset)
    }.map(\.element)
    guard let first = preferred.first else {
      throw .unknownDevice(asked: choosing ?? "", present: snapshots.map(\.name))
    }
    // What does not qualify hides none that does, unless it was asked for.
    let others = choosing == nil ? preferred.dropFirst() : []
    do throws(VulkanError) {
      try self.init(first, purpose, precision)
    } catch {
      for device in others {
        guard let plan = try? DevicePlan(device, purpose, precision) else { continue }
        self = plan
        return
      }
      throw error
    }
  }

  private init(_ device: DeviceSnapshot, _ purpose: DevicePurpose, _ precision: Precision) throws(VulkanError) {
    let quirks = DriverQuirks.of(device)
    guard device.version.lexicographicallyPrecedes([1, 2]) == false else {
      throw .unsuitableDevice(
        name: device.name, reason: "Vulkan 1.2 is needed, the driver has \(device.version[0]).\(device.version[1])")
    }
    guard device.timelineSemaphore else {
      throw .unsuitableDevice(name: device.name, reason: "no timeline semaphores")
    }
    if let refusal = quirks.refusal { throw .unsuitableDevice(name: device.name, reason: refusal) }
    for format in [TexelFormat.rgba32f, .r32f, .r32ui] where !device.uniformTexelFormats.contains(format) {
      throw .unsuitableDevice(name: device.name, reason: "no uniform texel buffers of format \(format)")
    }
    guard purpose == .running || device.executableInfo else {
      throw .unsuitableDevice(
        name: device.name, reason: "its driver has no \(VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME)")
    }
    // A family without graphics is not shared with the desktop's compositor.
    let families = device.queueFamilies.indices.filter { device.queueFamilies[$0].compute }
    guard let family = families.first(where: { !device.queueFamilies[$0].graphics }) ?? families.first else {
      throw .unsuitableDevice(name: device.name, reason: "no compute queue")
    }

    snapshot = device
    self.purpose = purpose
    queueFamily = family
    robustBufferAccess = device.robustBufferAccess
    // On a processor wide forms rely on what Mesa's driver does (`include/lane_stores.glsl`, `include/lane_loads.glsl`).
    usesAddresses = device.vectorBits != nil && device.shaderInt64 && device.bufferAddresses && device.bytePushConstants
    hasTimestamps = quirks.hasTimestamps && device.queueFamilies[family].timestampBits > 0
    let shuffles = quirks.shuffles && device.subgroups.shufflesInCompute
    if shuffles, let choices = device.subgroups.choices {
      let wanted = quirks.subgroupSize ?? device.subgroups.size
      // Workgroups of shuffling kernels are of 64 at the least: a larger subgroup would not be full.
      requiredSubgroupSize = max(min(wanted, choices.upperBound, 64), choices.lowerBound)
    } else {
      requiredSubgroupSize = nil
    }
    // Shuffles are no part of it, but where those are wrong the driver is not sure of its lanes.
    // Mesa 26.2's software driver overruns its stack where it compiles them for 16 lanes.
    let hasMatrices =
      quirks.hasMatrixUnits && device.vectorBits ?? 0 <= 256 && shuffles && device.shaderFloat16
      && device.vulkanMemoryModel
    let matrixUnit = precision == .mixed && hasMatrices ? MatrixUnit.preferred(of: device.matrixUnits) : nil
    // GCN runs subgroups of 64 only, the later families of 32 too.
    let isGCN = device.vendorID == 0x1002 && (device.subgroups.choices?.lowerBound ?? device.subgroups.size) == 64
    // A portability driver demands that its extension is enabled.
    let optional = [
      "VK_KHR_portability_subset", VK_EXT_MEMORY_BUDGET_EXTENSION_NAME, VK_EXT_CALIBRATED_TIMESTAMPS_EXTENSION_NAME,
      device.discardsOutside ? VK_EXT_ROBUSTNESS_2_EXTENSION_NAME : "",
      matrixUnit == nil ? "" : MatrixUnit.deviceExtension,
      requiredSubgroupSize == nil ? "" : VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME,
      purpose == .running ? "" : VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME,
    ]
    extensions = optional.filter(device.extensions.contains)
    traits = DeviceTraits(
      subgroupSize: shuffles ? requiredSubgroupSize ?? device.subgroups.size : 1,
      isSoftware: device.kind == .cpu,
      hasLargeRegisterFile: !isGCN,
      hasInt64: device.shaderInt64 && (device.kind != .cpu || usesAddresses),
      discardsOutside: device.discardsOutside, loadsOnceInLoops: usesAddresses && quirks.loadsOnceInLoops,
      matrixUnit: matrixUnit, longestLoop: device.longestLoop,
      maxTexelBufferElements: device.limits.texelBufferElements, maxStorageBuffers: device.limits.storageBuffers,
      sharedMemoryBytes: device.limits.sharedMemoryBytes,
      maxWorkgroupInvocations: device.limits.workgroupInvocations,
      maxPushConstantBytes: device.limits.pushConstantBytes, maxStorageBufferRange: device.limits.storageBufferRange,
      maxAllocationBytes: device.limits.allocationBytes, maxGroups: device.limits.groups,
      maxWorkgroupSize: device.limits.workgroupSize)
  }

  /// Keeps the best driver of each GPU that several drivers list.
  private static func withoutDuplicates(_ devices: [DeviceSnapshot]) -> [DeviceSnapshot] {
    var best: [DeviceSnapshot] = []
    for device in devices {
      if let i = best.firstIndex(where: { !device.uuid.isEmpty && $0.uuid == device.uuid && $0.kind == device.kind }) {
        if DriverQuirks.of(device).rank < DriverQuirks.of(best[i]).rank { best[i] = device }
      } else {
        best.append(device)
      }
    }
    return best
  }
}

extension DeviceSnapshot.Kind {
  fileprivate var preference: Int {
    switch self {
    case .discrete: 0
    case .integrated: 1
    case .virtual: 2
    case .other: 3
    case .cpu: 4
    }
  }
}
