import CVulkan

/// What drivers get wrong or do slowly and no query reports. One row per fact; later rows win.
struct DriverQuirks: Sendable, Hashable {
  /// Whether what it says of subgroup shuffles holds.
  var shuffles = true
  /// The subgroup size to ask for instead of the driver's default.
  var subgroupSize: Int?
  var hasTimestamps = true
  /// Order among drivers of one GPU, smallest first.
  var rank = 0

  static func of(_ device: DeviceSnapshot) -> DriverQuirks {
    var quirks = DriverQuirks()
    for row in table where row.driver.rawValue == device.driverID && row.vendor ?? device.vendorID == device.vendorID {
      row.apply(&quirks)
    }
    return quirks
  }

  private struct Row: Sendable {
    let driver: VkDriverId
    var vendor: UInt32?
    let apply: @Sendable (inout DriverQuirks) -> Void
  }

  private static let amd: UInt32 = 0x1002
  private static let intel: UInt32 = 0x8086

  private static let table: [Row] = [
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
    // One AMD GPU is often listed by several drivers.
    Row(driver: VK_DRIVER_ID_AMD_OPEN_SOURCE) { $0.rank = 1 },
    Row(driver: VK_DRIVER_ID_AMD_PROPRIETARY) { $0.rank = 2 },
    // Vulkan on Direct3D 12: complete enough to start, last choice.
    Row(driver: VK_DRIVER_ID_MESA_DOZEN) { $0.rank = 9 },
  ]
}
