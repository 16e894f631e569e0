import CVulkan
import Kernels
import ShaderReflection

/// A compute pipeline with the bindings its shader declares.
package final class Kernel: Sendable {
  package let source: KernelSource
  /// Invocations per workgroup in x, y, z.
  package let workgroupSize: [Int]
  let pipeline: Handle
  let layout: Handle
  let setLayout: Handle
  let device: LogicalDevice

  init(
    _ source: KernelSource, _ entries: [SpecializationEntry], _ device: LogicalDevice, cache: Handle
  ) throws(VulkanError) {
    let words = source.words()
    let spirv = SPIRV(words: words)
    let size = spirv.workgroupSize(entries.bits)
    try Self.checkLimits(source, size, sharedBytes: spirv.sharedBytes(entries.bits), device.plan.snapshot.limits)
    let setLayout = try Self.makeSetLayout(source, device)
    var layout: Handle?
    do throws(VulkanError) {
      let made = try Self.makeLayout(source, setLayout, device)
      layout = made
      pipeline = try Self.makePipeline(source, words, entries, size, made, device, cache)
      self.layout = made
    } catch {
      if let layout { vkDestroyPipelineLayout(device.handle.raw, layout.raw, nil) }
      vkDestroyDescriptorSetLayout(device.handle.raw, setLayout.raw, nil)
      throw error
    }
    self.source = source
    self.setLayout = setLayout
    self.device = device
    workgroupSize = size
    device.name(pipeline, VK_OBJECT_TYPE_PIPELINE, source.name)
  }

  deinit {
    vkDestroyPipeline(device.handle.raw, pipeline.raw, nil)
    vkDestroyPipelineLayout(device.handle.raw, layout.raw, nil)
    vkDestroyDescriptorSetLayout(device.handle.raw, setLayout.raw, nil)
  }

  private static func checkLimits(
    _ source: KernelSource, _ size: [Int], sharedBytes: Int?, _ limits: DeviceSnapshot.Limits
  ) throws(VulkanError) {
    for (axis, (asked, limit)) in zip(["x", "y", "z"], zip(size, limits.workgroupSize)) where asked > limit {
      throw .limitExceeded(what: "kernel '\(source.name)' workgroup size in \(axis)", asked: asked, limit: limit)
    }
    let invocations = size.reduce(1, *)
    guard invocations <= limits.workgroupInvocations else {
      throw .limitExceeded(
        what: "kernel '\(source.name)' invocations per workgroup", asked: invocations,
        limit: limits.workgroupInvocations)
    }
    if let sharedBytes, sharedBytes > limits.sharedMemoryBytes {
      throw .limitExceeded(
        what: "kernel '\(source.name)' bytes of shared memory", asked: sharedBytes, limit: limits.sharedMemoryBytes)
    }
    guard source.pushConstantBytes <= limits.pushConstantBytes else {
      throw .limitExceeded(
        what: "kernel '\(source.name)' push constant bytes", asked: source.pushConstantBytes,
        limit: limits.pushConstantBytes)
    }
  }

  private static func makeSetLayout(_ source: KernelSource, _ device: LogicalDevice) throws(VulkanError) -> Handle {
    let bindings = source.bindings.map { binding in
      var layout = VkDescriptorSetLayoutBinding()
      layout.binding = binding.index
      layout.descriptorType = binding.kind.vulkan
      layout.descriptorCount = 1
      layout.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT.rawValue
      return layout
    }
    var scratch = Scratch()
    defer { scratch.free() }
    var info = VkDescriptorSetLayoutCreateInfo()
    info.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO
    info.bindingCount = UInt32(bindings.count)
    info.pBindings = UnsafePointer(scratch.array(bindings))
    return try device.create("vkCreateDescriptorSetLayout") {
      vkCreateDescriptorSetLayout(device.handle.raw, &info, nil, &$0)
    }
  }

  private static func makeLayout(
    _ source: KernelSource, _ setLayout: Handle, _ device: LogicalDevice
  ) throws(VulkanError) -> Handle {
    var scratch = Scratch()
    defer { scratch.free() }
    var range = VkPushConstantRange()
    range.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT.rawValue
    range.size = UInt32(source.pushConstantBytes)
    var info = VkPipelineLayoutCreateInfo()
    info.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO
    info.setLayoutCount = 1
    info.pSetLayouts = UnsafePointer(scratch.one(Optional(setLayout.raw)))
    info.pushConstantRangeCount = source.pushConstantBytes > 0 ? 1 : 0
    info.pPushConstantRanges = UnsafePointer(scratch.one(range))
    return try device.create("vkCreatePipelineLayout") { vkCreatePipelineLayout(device.handle.raw, &info, nil, &$0) }
  }

  private static func makePipeline(
    _ source: KernelSource, _ words: [UInt32], _ entries: [SpecializationEntry], _ size: [Int], _ layout: Handle,
    _ device: LogicalDevice, _ cache: Handle
  ) throws(VulkanError) -> Handle {
    var scratch = Scratch()
    defer { scratch.free() }
    var moduleInfo = VkShaderModuleCreateInfo()
    moduleInfo.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO
    moduleInfo.codeSize = words.count * 4
    moduleInfo.pCode = UnsafePointer(scratch.array(words))
    let module = try device.create("vkCreateShaderModule") {
      vkCreateShaderModule(device.handle.raw, &moduleInfo, nil, &$0)
    }
    defer { vkDestroyShaderModule(device.handle.raw, module.raw, nil) }

    var constants = VkSpecializationInfo()
    constants.mapEntryCount = UInt32(entries.count)
    constants.pMapEntries = UnsafePointer(
      scratch.array(
        entries.enumerated().map { VkSpecializationMapEntry(constantID: $1.id, offset: UInt32($0 * 4), size: 4) }))
    constants.dataSize = entries.count * 4
    constants.pData = UnsafeRawPointer(scratch.array(entries.map(\.bits)))

    var info = VkComputePipelineCreateInfo()
    info.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO
    info.layout = layout.raw
    if device.plan.purpose == .compiling {
      info.flags = VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR.rawValue
    }
    info.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO
    info.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT
    info.stage.module = module.raw
    info.stage.pName = scratch.string("main")
    info.stage.pSpecializationInfo = UnsafePointer(scratch.one(constants))
    // Full subgroups need whole subgroups in x; other shapes do not shuffle and keep the driver's choice.
    if let subgroup = device.plan.requiredSubgroupSize, size[0] % subgroup == 0,
      size.reduce(1, *) <= subgroup * device.plan.snapshot.subgroups.perWorkgroup
    {
      var required = VkPipelineShaderStageRequiredSubgroupSizeCreateInfo()
      required.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO
      required.requiredSubgroupSize = UInt32(subgroup)
      info.stage.pNext = UnsafeRawPointer(scratch.one(required))
      info.stage.flags = VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT.rawValue
    }
    device.counters.add(\.vkCreateComputePipelines)
    return try device.create("vkCreateComputePipelines (\(source.name))") {
      vkCreateComputePipelines(device.handle.raw, cache.raw, 1, &info, nil, &$0)
    }
  }
}

extension KernelSource.BindingKind {
  var vulkan: VkDescriptorType {
    switch self {
    case .storageBuffer: VK_DESCRIPTOR_TYPE_STORAGE_BUFFER
    case .uniformTexelBuffer: VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER
    case .storageTexelBuffer: VK_DESCRIPTOR_TYPE_STORAGE_TEXEL_BUFFER
    }
  }
}
