import CVulkan
import Foundation
import Kernels
import Synchronization

/// Kernels made so far, and the driver's compiled code for the next process.
final class KernelCache: Sendable {
  private struct Key: Hashable {
    let name: String
    let entries: [SpecializationEntry]
  }

  private let device: LogicalDevice
  private let handle: Handle
  /// Nil where kernels are compiled for their statistics: a cached pipeline need not have any.
  private let file: PipelineFile?
  private let kernels = Mutex<[Key: Kernel]>([:])

  init(_ device: LogicalDevice, directory: URL) throws(VulkanError) {
    self.device = device
    file =
      device.plan.purpose == .compiling ? nil : PipelineFile(device.plan.snapshot, directory: directory)
    let data = file?.load() ?? Data()
    handle = try device.create("vkCreatePipelineCache") { handle in
      data.withUnsafeBytes { bytes in
        var info = VkPipelineCacheCreateInfo()
        info.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO
        info.initialDataSize = bytes.count
        info.pInitialData = bytes.baseAddress
        return vkCreatePipelineCache(device.handle.raw, &info, nil, &handle)
      }
    }
  }

  deinit {
    save()
    vkDestroyPipelineCache(device.handle.raw, handle.raw, nil)
  }

  func kernel(_ source: KernelSource, _ entries: [SpecializationEntry]) throws(VulkanError) -> Kernel {
    let key = Key(name: source.name, entries: entries)
    return try kernels.withLock { kernels throws(VulkanError) in
      if let kernel = kernels[key] { return kernel }
      let kernel = try Kernel(source, entries, device, cache: handle)
      kernels[key] = kernel
      return kernel
    }
  }

  /// Makes a kernel once more; from now on that one is handed out.
  /// - Returns: the one before it, or the new one if there was none.
  func remake(_ source: KernelSource, _ entries: [SpecializationEntry]) throws(VulkanError) -> Kernel {
    let kernel = try Kernel(source, entries, device, cache: handle)
    return kernels.withLock { $0.updateValue(kernel, forKey: Key(name: source.name, entries: entries)) } ?? kernel
  }

  /// From now on hands out this kernel.
  func keep(_ kernel: Kernel, _ entries: [SpecializationEntry]) {
    kernels.withLock { $0[Key(name: kernel.source.name, entries: entries)] = kernel }
  }

  /// A kernel that is not kept.
  func makeKernel(_ source: KernelSource, _ entries: [SpecializationEntry]) throws(VulkanError) -> Kernel {
    try Kernel(source, entries, device, cache: handle)
  }

  /// Whether the driver handed out anything to keep. A cache that cannot be read or written costs compile time, nothing
  /// else; so failures are not reported.
  @discardableResult
  func save() -> Bool {
    guard let file, kernels.withLock({ !$0.isEmpty }) else { return false }
    var size = 0
    guard vkGetPipelineCacheData(device.handle.raw, handle.raw, &size, nil) == VK_SUCCESS, size > 0 else {
      return false
    }
    var data = Data(count: size)
    let result = data.withUnsafeMutableBytes {
      vkGetPipelineCacheData(device.handle.raw, handle.raw, &size, $0.baseAddress)
    }
    // Less than a header is nothing: lavapipe of Mesa 26.2 gives 20 bytes.
    guard result == VK_SUCCESS, size >= PipelineFile.headerBytes else { return false }
    file.store(data.prefix(size))
    return true
  }
}

/// `pipelines-<uuid>.bin`: 8 bytes of checksum, then what `vkGetPipelineCacheData` gave.
///
/// Drivers check the header only, and some crash on a damaged body; hence the checksum.
package struct PipelineFile: Sendable {
  package let url: URL
  private let header: [UInt8]
  static let headerBytes = 32

  package init(_ device: DeviceSnapshot, directory: URL) {
    let uuid = device.pipelineCacheUUID
    url = directory.appendingPathComponent("pipelines-\(uuid.map { hex($0) }.joined()).bin")
    // VkPipelineCacheHeaderVersionOne: length, version 1, vendor, device, UUID.
    header = [UInt32(Self.headerBytes), 1, device.vendorID, device.deviceID].flatMap(littleEndianBytes) + uuid
  }

  /// The stored data, or nil where there is none, it is damaged, or it is of another device or driver.
  package func load() -> Data? {
    guard let file = try? Data(contentsOf: url), file.count >= 8 + header.count else { return nil }
    let body = file.dropFirst(8)
    guard body.starts(with: header), file.prefix(8).elementsEqual(littleEndianBytes(checksum(body))) else { return nil }
    return Data(body)
  }

  package func store(_ body: Data) {
    let file = Data(littleEndianBytes(checksum(body))) + body
    guard (try? Data(contentsOf: url)) != file else { return }
    try? FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try? file.write(to: url, options: .atomic)
  }

  /// `$XDG_CACHE_HOME/graft`, or `~/.cache/graft`.
  package static var userDirectory: URL {
    let base = ProcessInfo.processInfo.environment["XDG_CACHE_HOME"].map { URL(fileURLWithPath: $0) }
    let home = FileManager.default.homeDirectoryForCurrentUser
    return (base ?? home.appendingPathComponent(".cache")).appendingPathComponent("graft")
  }
}

/// FNV-1a, 64 bits.
private func checksum(_ data: Data) -> UInt64 {
  data.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
}

private func littleEndianBytes<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
  withUnsafeBytes(of: value.littleEndian) { Array($0) }
}

private func hex(_ byte: UInt8) -> String { (byte < 16 ? "0" : "") + String(byte, radix: 16) }
