import CVulkan

/// What a driver's compiler says about a pipeline (VK_KHR_pipeline_executable_properties), under one name for each fact.
/// A fact the driver does not report is nil.
package struct KernelStatistics: Sendable, Hashable, Codable {
  /// Registers of an invocation, of 32 bits; of half that size on Apple, of four times on Adreno.
  package var registers: Int?
  /// Values or bytes, as the driver counts them, that found no register: written to memory or, on AMD, to other registers.
  package var spills: Int?
  /// Bytes of private memory per invocation or subgroup, as the driver counts them: spills and indexed arrays.
  package var scratch: Int?
  package var sharedBytes: Int?
  /// Subgroups that run side by side: per SIMD on AMD, per multiprocessor on NVIDIA, per core on Adreno; invocations per
  /// core on Apple.
  package var subgroups: Int?
  package var codeBytes: Int?
  package var instructions: Int?
  /// Static estimate of one invocation's way through the code, loops counted as the driver guesses.
  package var cycles: Int?

  package init() {}

  /// - Parameter reported: name and value as the driver gives them.
  package init(_ reported: [(name: String, value: Int)]) {
    for (name, value) in reported {
      guard let field = Self.fields[name.lowercased()] else { continue }
      // Several rows may count towards one fact, e.g. spills of scalar and of vector registers.
      self[keyPath: field] = (self[keyPath: field] ?? 0) + value
    }
  }

  /// What Mesa's drivers (RADV, NVK, Turnip, Honeykrisp) report, in lower case.
  private static var fields: [String: WritableKeyPath<KernelStatistics, Int?>] {
    [
      // AMD
      "vgprs": \.registers, "spilled vgprs": \.spills, "spilled sgprs": \.spills, "scratch size": \.scratch,
      "lds size": \.sharedBytes, "subgroups per simd": \.subgroups, "latency": \.cycles,
      // NVIDIA
      "number of gprs": \.registers, "spills to memory": \.spills, "slm size": \.scratch, "max warps/sm": \.subgroups,
      "static cycle count": \.cycles,
      // Adreno: registers of four words, stores to private memory
      "registers used": \.registers, "stp count": \.spills, "max waves per core": \.subgroups,
      // Apple: registers of half a word, invocations per core
      "gprs": \.registers, "spills": \.spills, "scratch": \.scratch, "threads": \.subgroups, "alu": \.cycles,
      // Several
      "code size": \.codeBytes, "instructions": \.instructions, "instruction count": \.instructions,
    ]
  }
}

extension Kernel {
  /// What the compiler made of this kernel; nil unless the device was opened to compile.
  package func statistics() throws(VulkanError) -> KernelStatistics? {
    try reportedStatistics().map { KernelStatistics($0) }
  }

  /// The same under the driver's own names.
  package func reportedStatistics() throws(VulkanError) -> [(name: String, value: Int)]? {
    guard let functions = device.executableProperties else { return nil }
    var info = VkPipelineInfoKHR()
    info.sType = VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR
    info.pipeline = pipeline.raw
    var empty = VkPipelineExecutablePropertiesKHR()
    empty.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR
    let executables = try enumerate("vkGetPipelineExecutablePropertiesKHR", of: empty) {
      functions.properties(device.handle.raw, &info, $0, $1)
    }
    var all: [(name: String, value: Int)] = []
    for index in executables.indices {
      var executable = VkPipelineExecutableInfoKHR()
      executable.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR
      executable.pipeline = pipeline.raw
      executable.executableIndex = UInt32(index)
      var empty = VkPipelineExecutableStatisticKHR()
      empty.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR
      let statistics = try enumerate("vkGetPipelineExecutableStatisticsKHR", of: empty) {
        functions.statistics(device.handle.raw, &executable, $0, $1)
      }
      for statistic in statistics {
        let value: Int
        switch statistic.format {
        case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_FLOAT64_KHR: value = Int(statistic.value.f64.rounded())
        case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR: value = Int(statistic.value.b32)
        default: value = Int(clamping: statistic.value.u64)
        }
        all.append((text(statistic.name), value))
      }
    }
    return all
  }
}

/// The two functions of VK_KHR_pipeline_executable_properties.
struct ExecutableProperties: Sendable {
  typealias Properties =
    @convention(c) (
      VkDevice?, UnsafePointer<VkPipelineInfoKHR>?, UnsafeMutablePointer<UInt32>?,
      UnsafeMutablePointer<VkPipelineExecutablePropertiesKHR>?
    ) -> VkResult
  typealias Statistics =
    @convention(c) (
      VkDevice?, UnsafePointer<VkPipelineExecutableInfoKHR>?, UnsafeMutablePointer<UInt32>?,
      UnsafeMutablePointer<VkPipelineExecutableStatisticKHR>?
    ) -> VkResult

  let properties: Properties
  let statistics: Statistics

  init?(_ device: Handle) {
    guard let properties = vkGetDeviceProcAddr(device.raw, "vkGetPipelineExecutablePropertiesKHR"),
      let statistics = vkGetDeviceProcAddr(device.raw, "vkGetPipelineExecutableStatisticsKHR")
    else { return nil }
    self.properties = unsafeBitCast(properties, to: Properties.self)
    self.statistics = unsafeBitCast(statistics, to: Statistics.self)
  }
}
