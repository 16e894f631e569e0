import CVulkan

/// `count` timestamps that recorded commands write and the host reads.
package final class Profiler: Sendable {
  package let count: Int
  let pool: Handle
  private let device: LogicalDevice

  /// Throws `unsuitableDevice` where the device has no timestamps.
  package init(_ device: Device, count: Int) throws(VulkanError) {
    let logical = device.logical
    guard logical.plan.hasTimestamps else {
      throw .unsuitableDevice(name: logical.plan.snapshot.name, reason: "profiling needs timestamps, it has none")
    }
    var info = VkQueryPoolCreateInfo()
    info.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO
    info.queryType = VK_QUERY_TYPE_TIMESTAMP
    info.queryCount = UInt32(count)
    pool = try logical.create("vkCreateQueryPool") { vkCreateQueryPool(logical.handle.raw, &info, nil, &$0) }
    self.device = logical
    self.count = count
  }

  deinit { vkDestroyQueryPool(device.handle.raw, pool.raw, nil) }

  /// Seconds since timestamp 0, one per timestamp. All must have been written and waited for; else `callFailed` with
  /// VK_NOT_READY.
  package func read() throws(VulkanError) -> [Double] {
    var ticks = [UInt64](repeating: 0, count: count)
    try device.check(
      vkGetQueryPoolResults(
        device.handle.raw, pool.raw, 0, UInt32(count), count * 8, &ticks, 8, VK_QUERY_RESULT_64_BIT.rawValue),
      "vkGetQueryPoolResults")
    // The counter may wrap around between two timestamps; the masked difference is right all the same.
    return ticks.map { device.seconds(ofTicks: $0 &- ticks[0]) }
  }

  /// Timestamp 0 in seconds of the device's own clock, whose zero means nothing.
  package func readStart() throws(VulkanError) -> Double {
    var ticks: UInt64 = 0
    try device.check(
      vkGetQueryPoolResults(device.handle.raw, pool.raw, 0, 1, 8, &ticks, 8, VK_QUERY_RESULT_64_BIT.rawValue),
      "vkGetQueryPoolResults")
    return device.seconds(ofTicks: ticks)
  }
}

extension LogicalDevice {
  fileprivate func seconds(ofTicks ticks: UInt64) -> Double {
    let bits = plan.snapshot.queueFamilies[plan.queueFamily].timestampBits
    let mask = bits >= 64 ? UInt64.max : 1 << UInt64(bits) - 1
    return Double(ticks & mask) * plan.snapshot.limits.timestampPeriod * 1e-9
  }
}

extension Device {
  /// The same moment on the device's clock, as `Profiler.readStart` gives it, and on the host's CLOCK_MONOTONIC, both in
  /// seconds; nil where the driver cannot say (VK_EXT_calibrated_timestamps).
  package func calibratedClocks() -> (device: Double, host: Double)? {
    guard plan.hasTimestamps, plan.extensions.contains(VK_EXT_CALIBRATED_TIMESTAMPS_EXTENSION_NAME),
      let domainsAddress = vkGetInstanceProcAddr(
        logical.instance.handle.raw, "vkGetPhysicalDeviceCalibrateableTimeDomainsEXT"),
      let readAddress = vkGetDeviceProcAddr(logical.handle.raw, "vkGetCalibratedTimestampsEXT")
    else { return nil }
    let getDomains = unsafeBitCast(domainsAddress, to: GetTimeDomains.self)
    let read = unsafeBitCast(readAddress, to: GetCalibratedTimestamps.self)
    var count: UInt32 = 0
    guard getDomains(logical.physical.raw, &count, nil) == VK_SUCCESS else { return nil }
    var domains = [VkTimeDomainEXT](repeating: VK_TIME_DOMAIN_DEVICE_EXT, count: Int(count))
    guard getDomains(logical.physical.raw, &count, &domains) == VK_SUCCESS else { return nil }
    let wanted = [VK_TIME_DOMAIN_DEVICE_EXT, VK_TIME_DOMAIN_CLOCK_MONOTONIC_EXT]
    guard wanted.allSatisfy({ domain in domains.contains { $0.rawValue == domain.rawValue } }) else { return nil }
    let infos = wanted.map { domain in
      var info = VkCalibratedTimestampInfoEXT()
      info.sType = VK_STRUCTURE_TYPE_CALIBRATED_TIMESTAMP_INFO_EXT
      info.timeDomain = domain
      return info
    }
    var stamps = [UInt64](repeating: 0, count: 2)
    var deviation: UInt64 = 0
    guard read(logical.handle.raw, 2, infos, &stamps, &deviation) == VK_SUCCESS else { return nil }
    return (logical.seconds(ofTicks: stamps[0]), Double(stamps[1]) * 1e-9)
  }

  private typealias GetTimeDomains =
    @convention(c) (
      VkPhysicalDevice?, UnsafeMutablePointer<UInt32>?, UnsafeMutablePointer<VkTimeDomainEXT>?
    ) -> VkResult
  private typealias GetCalibratedTimestamps =
    @convention(c) (
      VkDevice?, UInt32, UnsafePointer<VkCalibratedTimestampInfoEXT>?, UnsafeMutablePointer<UInt64>?,
      UnsafeMutablePointer<UInt64>?
    ) -> VkResult
}
