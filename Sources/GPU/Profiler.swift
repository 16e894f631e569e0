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
    let bits = device.plan.snapshot.queueFamilies[device.plan.queueFamily].timestampBits
    let mask = bits >= 64 ? UInt64.max : 1 << UInt64(bits) - 1
    let period = device.plan.snapshot.limits.timestampPeriod * 1e-9
    // The counter may wrap around between two timestamps; the masked difference is right all the same.
    return ticks.map { Double(($0 &- ticks[0]) & mask) * period }
  }
}
