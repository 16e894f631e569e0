import CVulkan

/// What drivers get wrong or do slowly and no query reports. One row per fact; later rows win.
struct DriverQuirks: Sendable, Hashable {
  /// Why it cannot be used, or nil.
  var refusal: String?
  /// Whether what it says of subgroup shuffles holds.
  var shuffles = true
  /// Whether it has the matrix units that it lists.
  var hasMatrixUnits = true
  /// The subgroup size to ask for instead of the driver's default.
  var subgroupSize: Int?
  var hasTimestamps = true
  /// Whether a software driver loads once what all lanes read alike in a loop, too.
  var loadsOnceInLoops = false
  /// Order among drivers of one GPU, smallest first.
  var rank = 0

  static func of(_ device: DeviceSnapshot) -> DriverQuirks {
    var quirks = DriverQuirks()
    for row in table
    where row.driver.rawValue == device.driverID && row.vendor ?? device.vendorID == device.vendorID
      && device.driverVersion < row.before ?? .max
    {
      row.apply(&quirks)
    }
    return quirks
  }

  private struct Row: Sendable {
    let driver: VkDriverId
    var vendor: UInt32?
    /// The driver's version that has the fact no longer, encoded as the driver does.
    var before: UInt32?
    let apply: @Sendable (inout DriverQuirks) -> Void
  }

  private static let amd: UInt32 = 0x1002
  private static let intel: UInt32 = 0x8086

  private static let table: [Row] = [
    // Arrays that a specialization constant sizes have the length of its default. Versions are major * 10,000 + minor * 100 + patch.
    Row(driver: VK_DRIVER_ID_MOLTENVK, before: 10_300) {
      $0.refusal = "MoltenVK 1.3.0 is needed, which specializes array lengths"
    },
    // Subgroup shuffles between the halves of a 64-wide wave return wrong lanes.
    Row(driver: VK_DRIVER_ID_MOLTENVK, vendor: amd) {
      $0.shuffles = false
    },
    // Says 32 where Metal chooses 8, 16 or 32 for each pipeline, and takes no wish.
    Row(driver: VK_DRIVER_ID_MOLTENVK, vendor: intel) { $0.shuffles = false },
    // The default of 32 is two or four hardware threads in one: register tiles spill.
    Row(driver: VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA) { $0.subgroupSize = 16 },
    Row(driver: VK_DRIVER_ID_INTEL_PROPRIETARY_WINDOWS) { $0.subgroupSize = 16 },
    // Timestamps are accepted and mean nothing.
    Row(driver: VK_DRIVER_ID_GOOGLE_SWIFTSHADER) { $0.hasTimestamps = false },
    // They list matrix units for GPUs that have none, too, and crash or emulate them there.
    Row(driver: VK_DRIVER_ID_AMD_OPEN_SOURCE) { $0.hasMatrixUnits = false },
    Row(driver: VK_DRIVER_ID_AMD_PROPRIETARY) { $0.hasMatrixUnits = false },
    // One AMD GPU is often listed by several drivers.
    Row(driver: VK_DRIVER_ID_AMD_OPEN_SOURCE) { $0.rank = 1 },
    Row(driver: VK_DRIVER_ID_AMD_PROPRIETARY) { $0.rank = 2 },
    // Measured from Mesa 26.1 on; 25.0, which gives its version as 1, goes lane by lane.
    Row(driver: VK_DRIVER_ID_MESA_LLVMPIPE) { $0.loadsOnceInLoops = true },
    Row(driver: VK_DRIVER_ID_MESA_LLVMPIPE, before: 26 << 22 | 1 << 12) { $0.loadsOnceInLoops = false },
    // Vulkan on Direct3D 12: complete enough to start, last choice.
    Row(driver: VK_DRIVER_ID_MESA_DOZEN) { $0.rank = 9 },
  ]
}
