import GPU
import Testing

@Suite struct DevicePlanTests {
  private func device(_ name: String, _ kind: DeviceSnapshot.Kind, index: Int = 0) -> DeviceSnapshot {
    DeviceSnapshot(name: name, kind: kind, index: index)
  }

  private func chosen(_ name: String?, _ devices: [DeviceSnapshot]) throws -> String {
    try DevicePlan(choosing: name, from: devices).snapshot.name
  }

  @Test func prefersRealDevicesAndTakesACPUOnlyAlone() throws {
    let cpu = device("llvmpipe", .cpu)
    let integrated = device("UHD", .integrated)
    let discrete = device("RX 7900", .discrete)
    let virtual = device("VirtIO", .virtual)
    #expect(try chosen(nil, [cpu, virtual, integrated, discrete]) == "RX 7900")
    #expect(try chosen(nil, [cpu, virtual, integrated]) == "UHD")
    #expect(try chosen(nil, [cpu, virtual]) == "VirtIO")
    #expect(try chosen(nil, [cpu]) == "llvmpipe")
    #expect(try chosen(nil, [device("first", .discrete), device("second", .discrete)]) == "first")
  }

  @Test func aDeviceThatDoesNotQualifyHidesNoOther() throws {
    var old = device("GTX 680", .discrete)
    old.version = [1, 1]
    let devices = [old, device("UHD", .integrated, index: 1)]
    #expect(try chosen(nil, devices) == "UHD")
    let asked = #expect(throws: VulkanError.self) { try chosen("gtx", devices) }
    let none = #expect(throws: VulkanError.self) { try chosen(nil, [old]) }
    #expect(asked?.description.contains("the driver has 1.1") == true && asked == none)
  }

  /// A discrete card whose memory is full says so; where all memory is one, the next part of it serves.
  @Test func memoryComesFromTheFastestTypesFirst() {
    var gpu = device("gpu", .discrete)
    gpu.memoryTypes = [
      .init(heap: 1, properties: [.hostVisible, .hostCoherent]), .init(heap: 0, properties: [.deviceLocal]),
      .init(heap: 1, properties: [.hostVisible, .hostCoherent, .hostCached]),
      .init(heap: 2, properties: [.deviceLocal, .hostVisible, .hostCoherent]),
    ]
    #expect(gpu.memoryTypes(for: .device) == [1])
    #expect(gpu.memoryTypes(for: .upload) == [0, 2, 3])
    #expect(gpu.memoryTypes(for: .readback) == [2, 0, 3])
    #expect(gpu.memoryTypes(for: .readback, allowed: 0b1001) == [0, 3])
    gpu.kind = .integrated
    #expect(gpu.memoryTypes(for: .device) == [1, 3, 0, 2])
  }

  @Test func choosesByIndexOrPartOfTheName() throws {
    let devices = [device("NVIDIA RTX 3090", .discrete), device("llvmpipe (LLVM 15)", .cpu, index: 1)]
    #expect(try chosen("1", devices) == "llvmpipe (LLVM 15)")
    #expect(try chosen("LLVMPIPE", devices) == "llvmpipe (LLVM 15)")
    // Beyond the list a number is part of a name.
    #expect(try chosen("3090", devices) == "NVIDIA RTX 3090")
    let plan = try DevicePlan(choosing: "llvm", from: devices)
    #expect(plan.traits.isSoftware && plan.snapshot.index == 1)
  }

  @Test func unknownNamesListWhatIsPresent() {
    let error = #expect(throws: VulkanError.self) {
      try DevicePlan(choosing: "radeon", from: [device("llvmpipe", .cpu), device("UHD", .integrated, index: 1)])
    }
    #expect(error?.description == "no device matches 'radeon'; present are 0: llvmpipe, 1: UHD")
    let none = #expect(throws: VulkanError.self) { try DevicePlan(choosing: nil, from: []) }
    #expect(none?.description.hasPrefix("no Vulkan driver found: install one") == true)
  }

  @Test func missingFeaturesAreNamed() {
    expectRefusal("Vulkan 1.2 is needed, the driver has 1.1") { $0.version = [1, 1] }
    expectRefusal("no timeline semaphores") { $0.timelineSemaphore = false }
    expectRefusal("no uniform texel buffers of format r32ui") { $0.uniformTexelFormats.remove(.r32ui) }
    expectRefusal("MoltenVK 1.3.0 is needed, which specializes array lengths") {
      ($0.driverID, $0.driverVersion) = (14, 10_211)
    }
    expectRefusal("no compute queue") { $0.queueFamilies = [.init(graphics: true, compute: false)] }
  }

  /// A device whose lanes cannot exchange values has subgroups of one, and asks for no size.
  @Test func withoutShufflesEveryLaneIsAlone() throws {
    var plain = device("plain", .discrete)
    plain.subgroups = .init(size: 32, choices: 16...64, shufflesInCompute: false)
    var moltenVK = device("MoltenVK", .discrete)
    // On AMD its shuffles reach wrong lanes, on Intel subgroups are smaller than it says.
    (moltenVK.driverID, moltenVK.vendorID, moltenVK.driverVersion) = (14, 0x1002, 10_400)
    var intel = moltenVK
    intel.vendorID = 0x8086
    for snapshot in [plain, moltenVK, intel] {
      let plan = try DevicePlan(choosing: nil, from: [snapshot])
      #expect(plan.traits.subgroupSize == 1 && plan.requiredSubgroupSize == nil, "\(snapshot.name)")
    }
  }

  private func expectRefusal(_ reason: String, _ change: (inout DeviceSnapshot) -> Void) {
    var broken = device("broken", .discrete)
    change(&broken)
    let error = #expect(throws: VulkanError.self) { try DevicePlan(choosing: nil, from: [broken]) }
    #expect(error == .unsuitableDevice(name: "broken", reason: reason))
  }

  @Test func newVersionsAreAccepted() throws {
    for version in [[1, 3], [1, 4], [2, 0]] {
      var new = device("new", .discrete)
      new.version = version
      #expect(try chosen(nil, [new]) == "new")
    }
  }

  @Test func oneGPUBehindSeveralDriversCountsOnce() throws {
    var dozen = device("Dozen", .discrete)
    var proprietary = device("AMD proprietary", .discrete, index: 1)
    var radv = device("RADV", .discrete, index: 2)
    (dozen.driverID, proprietary.driverID, radv.driverID) = (23, 1, 3)
    (dozen.uuid, proprietary.uuid, radv.uuid) = ([1], [1], [1])
    let other = device("other GPU", .discrete, index: 3)
    #expect(try chosen(nil, [dozen, proprietary, radv, other]) == "RADV")
    #expect(try chosen("amd", [dozen, proprietary, radv, other]) == "AMD proprietary")
    radv.uuid = [2]
    // Another GPU's better driver is no reason to leave the first GPU.
    #expect(try chosen(nil, [proprietary, radv]) == "AMD proprietary")
  }

  @Test func computeQueuesWithoutGraphicsComeFirst() throws {
    var gpu = device("gpu", .discrete)
    gpu.queueFamilies = [.init(graphics: true), .init(compute: false), .init(timestampBits: 0)]
    let plan = try DevicePlan(choosing: nil, from: [gpu])
    #expect(plan.queueFamily == 2 && !plan.hasTimestamps)
    gpu.queueFamilies.removeLast()
    #expect(try DevicePlan(choosing: nil, from: [gpu]).queueFamily == 0)
  }

  @Test func subgroupSizeIsAskedForWhereADriverHasSeveral() throws {
    var gpu = device("gpu", .integrated)
    gpu.subgroups.size = 32
    #expect(try DevicePlan(choosing: nil, from: [gpu]).requiredSubgroupSize == nil)

    gpu.subgroups.choices = 8...32
    gpu.extensions = ["VK_EXT_subgroup_size_control"]
    var plan = try DevicePlan(choosing: nil, from: [gpu])
    #expect(plan.requiredSubgroupSize == 32 && plan.extensions == ["VK_EXT_subgroup_size_control"])

    gpu.driverID = 6  // Intel, Mesa
    plan = try DevicePlan(choosing: nil, from: [gpu])
    #expect(plan.requiredSubgroupSize == 16 && plan.traits.subgroupSize == 16)
    gpu.subgroups.choices = 32...32
    #expect(try DevicePlan(choosing: nil, from: [gpu]).traits.subgroupSize == 32)
    (gpu.driverID, gpu.subgroups) = (18, .init(size: 128, choices: 64...128))  // Adreno: 128 would not be full
    #expect(try DevicePlan(choosing: nil, from: [gpu]).traits.subgroupSize == 64)
  }

  /// Wide forms rely on what Mesa's driver does, and read by addresses.
  @Test func wideFormsAreForMesasSoftwareDriver() throws {
    var cpu = device("llvmpipe", .cpu)
    (cpu.driverID, cpu.shaderInt64, cpu.bufferAddresses, cpu.bytePushConstants) = (13, true, true, true)
    cpu.subgroups.size = 8
    func usesWideForms(_ change: (inout DeviceSnapshot) -> Void) throws -> Bool {
      var changed = cpu
      change(&changed)
      let plan = try DevicePlan(choosing: nil, from: [changed])
      #expect(plan.usesAddresses == plan.traits.storesWide)
      return plan.usesAddresses
    }
    #expect(try usesWideForms { _ in })
    #expect(try !usesWideForms { $0.bufferAddresses = false })
    #expect(try !usesWideForms { $0.bytePushConstants = false })
    #expect(try !usesWideForms { $0.shaderInt64 = false })
    #expect(try !usesWideForms { $0.driverID = 0 })
    #expect(try !usesWideForms { ($0.kind, $0.driverID) = (.discrete, 0) })

    // Mesa 26.1 and later load once in loops; 25.0 gives its version as 1.
    func traits(_ version: UInt32, lanes: Int) throws -> DeviceTraits {
      var changed = cpu
      (changed.driverVersion, changed.subgroups.size) = (version, lanes)
      return try DevicePlan(choosing: nil, from: [changed]).traits
    }
    let versions: [UInt32] = [1, 26 << 22, 26 << 22 | 1 << 12, 27 << 22]
    #expect(try versions.map { try traits($0, lanes: 8).loadsOnceInLoops } == [false, false, true, true])
    #expect(try versions.map { try traits($0, lanes: 16).broadcastsLanes } == [false, false, true, true])
    #expect(try !traits(27 << 22, lanes: 8).broadcastsLanes)
  }

  /// Matrix units are taken where a run asks for mixed precision and all that the kernel uses is there, the largest they can use.
  @Test func matrixUnitsAreForMixedPrecision() throws {
    var gpu = device("gpu", .discrete)
    (gpu.shaderFloat16, gpu.vulkanMemoryModel, gpu.extensions) = (true, true, ["VK_KHR_cooperative_matrix"])
    let (small, large) = (MatrixUnit(m: 16, n: 8, k: 16), MatrixUnit(m: 16, n: 16, k: 16))
    gpu.matrixUnits = [small, large, MatrixUnit(m: 64, n: 16, k: 64)]
    func plan(_ precision: Precision = .mixed, _ change: (inout DeviceSnapshot) -> Void = { _ in }) throws -> DevicePlan
    {
      var changed = gpu
      change(&changed)
      return try DevicePlan(choosing: nil, from: [changed], precision: precision)
    }
    #expect(try plan().traits.matrixUnit == large && plan().extensions == ["VK_KHR_cooperative_matrix"])
    #expect(try plan(.f32).traits.matrixUnit == nil && plan(.f32).extensions == [])
    #expect(try plan { $0.matrixUnits = [small] }.traits.matrixUnit == small)
    #expect(try plan { $0.matrixUnits = [] }.traits.precision == .f32)
    #expect(try plan { $0.shaderFloat16 = false }.traits.matrixUnit == nil)
    #expect(try plan { $0.vulkanMemoryModel = false }.traits.matrixUnit == nil)
    #expect(try plan { $0.subgroups.shufflesInCompute = false }.traits.matrixUnit == nil)
    #expect(try plan { $0.driverID = 1 }.traits.matrixUnit == nil)  // AMD's proprietary driver
    // Mesa's software driver
    #expect(try plan { ($0.driverID, $0.subgroups.size) = (13, 8) }.traits.matrixUnit == large)
    #expect(try plan { ($0.driverID, $0.subgroups.size) = (13, 16) }.traits.matrixUnit == nil)
  }

  @Test func onlyGCNHasTheSmallRegisterFile() throws {
    var gpu = device("gpu", .discrete)
    gpu.subgroups = .init(size: 64, choices: 64...64)
    #expect(try DevicePlan(choosing: nil, from: [gpu]).traits.hasLargeRegisterFile)
    gpu.vendorID = 0x1002
    #expect(try !DevicePlan(choosing: nil, from: [gpu]).traits.hasLargeRegisterFile)
    gpu.subgroups.choices = 32...64
    #expect(try DevicePlan(choosing: nil, from: [gpu]).traits.hasLargeRegisterFile)
  }

  @Test func compilingNeedsADriverThatTellsOfIt() throws {
    var gpu = device("gpu", .discrete)
    #expect(throws: VulkanError.self) { try DevicePlan(choosing: nil, from: [gpu], for: .compiling) }
    gpu.executableInfo = true
    gpu.extensions = ["VK_KHR_pipeline_executable_properties"]
    #expect(try DevicePlan(choosing: nil, from: [gpu], for: .compiling).extensions == Array(gpu.extensions))
    #expect(try DevicePlan(choosing: nil, from: [gpu]).extensions == [])
  }

  @Test func traitsCarryTheLimits() throws {
    var gpu = device("gpu", .discrete)
    gpu.limits.texelBufferElements = 11
    gpu.limits.sharedMemoryBytes = 12
    gpu.limits.workgroupInvocations = 13
    gpu.limits.pushConstantBytes = 14
    gpu.limits.storageBufferRange = 15
    gpu.limits.allocationBytes = 22
    gpu.limits.groups = [16, 17, 18]
    gpu.limits.workgroupSize = [19, 20, 21]
    let traits = try DevicePlan(choosing: nil, from: [gpu]).traits
    let expected = DeviceTraits(
      subgroupSize: 32, isSoftware: false, hasInt64: false, discardsOutside: false, maxTexelBufferElements: 11,
      sharedMemoryBytes: 12,
      maxWorkgroupInvocations: 13, maxPushConstantBytes: 14, maxStorageBufferRange: 15,
      maxAllocationBytes: 22, maxGroups: [16, 17, 18], maxWorkgroupSize: [19, 20, 21])
    #expect(traits == expected)
  }
}
