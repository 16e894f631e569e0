import Foundation
import Kernels
import TestSupport
import Testing

@testable import GPU

/// Each test opens a device of its own under validation: any message fails it, also one about objects left behind.
@Suite(.enabled(if: TestDevice.isPresent, TestDevice.absence)) struct DeviceTests {
  @Test func fillAndDownload() throws {
    try withDevice { device in
      let buffer = try device.makeBuffer(bytes: 1000 * 4, kind: .device, label: "y")
      let fill = try device.kernel(TestKernels.fill, [.init(id: 0, bits: 32)])
      #expect(fill.workgroupSize == [32, 1, 1])
      let commands = try device.record { recorder throws(VulkanError) in
        try recorder.dispatch(fill, [.buffer(buffer.whole)], push: push(1000, 7), groups: (32, 1, 1))
      }
      #expect(commands.dispatchCount == 1)
      try device.submit([commands]).wait()
      let values = try device.words(in: buffer)
      #expect(values == Array(7..<1007))
    }
  }

  @Test func uploadAndDownloadInChunks() throws {
    try withDevice { device in
      // More than two staging buffers and not a multiple of one.
      let values = (0..<UInt32(2_500_001)).map { $0 &* 2_654_435_761 }
      for kind in [BufferKind.device, .upload, .readback] {
        let buffer = try device.makeBuffer(bytes: values.count * 4, kind: kind, label: "x")
        try device.upload(words: values, to: buffer)
        let back = try device.words(in: buffer)
        #expect(back == values)
      }
    }
  }

  @Test func barriersAreDerivedFromAccess() throws {
    try withDevice { device in
      let (a, b, c) = (try words(64, device), try words(64, device), try words(64, device))
      let fill = try device.kernel(TestKernels.fill, [.init(id: 0, bits: 64)])
      let add = try device.kernel(TestKernels.add, [])

      func barriers(_ body: (inout Recorder) throws(VulkanError) -> Void) throws(VulkanError) -> Int {
        let commands = try device.record(body)
        try device.submit([commands]).wait()
        return commands.barrierCount
      }

      let readAfterWrite = try barriers { r throws(VulkanError) in
        try r.dispatch(fill, [.buffer(a.whole)], push: push(64, 10), groups: (1, 1, 1))
        try r.dispatch(add, [.buffer(a.whole), .buffer(b.whole)], push: push(64, 5), groups: (1, 1, 1))
      }
      #expect(readAfterWrite == 1)
      #expect(try device.words(in: b) == Array(15..<79))

      let writeAfterRead = try barriers { r throws(VulkanError) in
        try r.dispatch(add, [.buffer(a.whole), .buffer(b.whole)], push: push(64, 1), groups: (1, 1, 1))
        try r.dispatch(fill, [.buffer(a.whole)], push: push(64, 20), groups: (1, 1, 1))
      }
      #expect(writeAfterRead == 1)
      #expect(try device.words(in: b) == Array(11..<75))

      let writeAfterWrite = try barriers { r throws(VulkanError) in
        try r.dispatch(fill, [.buffer(a.whole)], push: push(64, 30), groups: (1, 1, 1))
        r.fill(a.whole, value: 40)
      }
      #expect(writeAfterWrite == 1)
      #expect(try device.words(in: a) == Array(repeating: 40, count: 64))

      let twoReaders = try barriers { r throws(VulkanError) in
        try r.dispatch(add, [.buffer(a.whole), .buffer(b.whole)], push: push(64, 1), groups: (1, 1, 1))
        try r.dispatch(add, [.buffer(a.whole), .buffer(c.whole)], push: push(64, 2), groups: (1, 1, 1))
      }
      #expect(twoReaders == 0)
      let twoCopies = try barriers { r throws(VulkanError) in
        r.copy(a.slice(offset: 0, bytes: 128), to: b.slice(offset: 128, bytes: 128))
        r.copy(c.slice(offset: 0, bytes: 128), to: b.slice(offset: 0, bytes: 128))
      }
      #expect(twoCopies == 0)
      let halves = [UInt32](repeating: 42, count: 32) + [UInt32](repeating: 40, count: 32)
      #expect(try device.words(in: b) == halves)
    }
  }

  @Test func laterSubmissionsSeeEarlierWrites() throws {
    try withDevice { device in
      let n: UInt32 = 100_000
      let (a, b) = (try words(Int(n), device), try words(Int(n), device))
      let result = try device.makeBuffer(bytes: Int(n) * 4, kind: .readback, label: "result")
      let fill = try device.kernel(TestKernels.fill, [.init(id: 0, bits: 64)])
      let add = try device.kernel(TestKernels.add, [])
      let groups = ((n + 63) / 64, UInt32(1), UInt32(1))
      let first = try device.record { r throws(VulkanError) in
        try r.dispatch(fill, [.buffer(a.whole)], push: push(n, 1), groups: groups)
      }
      let step = try device.record { r throws(VulkanError) in
        try r.dispatch(add, [.buffer(a.whole), .buffer(b.whole)], push: push(n, 3), groups: groups)
        r.copy(b.whole, to: a.whole)
      }
      let last = try device.record { r throws(VulkanError) in
        try r.dispatch(add, [.buffer(a.whole), .buffer(result.whole)], push: push(n, 0), groups: groups)
      }
      _ = try device.submit([first])
      let before = device.counters
      // Pending more than once at a time, within one submission and across several.
      _ = try device.submit([step, step])
      _ = try device.submit([step])
      let ticket = try device.submit([step, last])
      try ticket.wait()
      #expect(ticket.isDone)
      let values = result.contents.map { Array($0.bindMemory(to: UInt32.self)) }
      #expect(values == Array(13..<13 + n))
      var expected = before
      expected.vkQueueSubmit += 3
      #expect(device.counters == expected)
    }
  }

  @Test func texelBuffersAndUnusedBindings() throws {
    try withDevice { device in
      let x = try words(64 * 4, device)
      let y = try words(64 + 64, device)
      try device.upload(words: (0..<256).map { Float($0).bitPattern }, to: x)
      let sum = try device.kernel(TestKernels.texels, [])
      let commands = try device.record { r throws(VulkanError) in
        for _ in 0..<2 {
          try r.dispatch(
            sum, [.texels(x.whole, .rgba32f), .unused, .texels(y.slice(offset: 256, bytes: 256), .r32f)],
            push: push(64, 0), groups: (1, 1, 1))
        }
      }
      #expect(commands.barrierCount == 1)
      try device.submit([commands]).wait()
      let sums = try device.words(in: y).suffix(64).map { Float(bitPattern: $0) }
      #expect(sums == (0..<64).map { (row: Int) -> Float in Float(16 * row + 6) })
      // x, y and the placeholder; the second dispatch reuses them.
      #expect(device.counters.vkCreateBufferView == 3)
    }
  }

  @Test func smallBuffersShareMemory() throws {
    try withDevice { device in
      let start = device.bytesAllocated
      let allocations = device.counters.vkAllocateMemory
      var buffers: [Buffer] = []
      for i in 0..<200 {
        let buffer = try words(1 + i % 7 * 100, device)
        try device.upload(words: Array(repeating: UInt32(i), count: buffer.bytes / 4), to: buffer)
        buffers.append(buffer)
      }
      // The arena's first block may have come with the placeholder; staging takes at most one more of each type.
      #expect(device.counters.vkAllocateMemory <= allocations + 2)
      for (i, buffer) in buffers.enumerated() {
        let values = try device.words(in: buffer)
        #expect(values.allSatisfy { $0 == UInt32(i) })
      }
      let full = device.bytesAllocated
      // Every other one leaves a hole, which buffers of the same size fill again.
      for i in stride(from: 0, to: 200, by: 2) { buffers[i] = try words(1 + i % 7 * 100, device) }
      #expect(device.bytesAllocated == full)
      #expect(device.counters.vkAllocateMemory <= allocations + 2)
      #expect(device.peakBytes >= full && device.peakBytes < full + 4096)
      buffers = []
      // Only the two staging buffers of 4 MiB remain.
      #expect(device.bytesAllocated == start + 8 << 20)
    }
  }

  @Test func memoryGoesBackToTheDriver() throws {
    try withDevice { device in
      let before = device.counters.vkAllocateMemory
      func make(_ mebibytes: Int) throws(VulkanError) -> Buffer {
        try device.makeBuffer(bytes: mebibytes << 20, kind: .device, label: "large")
      }
      do {
        let large = try make(129)
        #expect(device.counters.vkAllocateMemory == before + 1)
        #expect(device.bytesAllocated >= large.bytes)
        #expect(device.memoryAvailable > 0)
      }
      #expect(device.bytesAllocated < 1 << 20)
      // Two of three share the placeholder's block; the third has one to itself, which goes and comes with it.
      var shared = try [make(100), make(100), make(100)]
      #expect(device.counters.vkAllocateMemory == before + 2)
      shared.removeLast()
      shared.append(try make(100))
      #expect(device.counters.vkAllocateMemory == before + 3)
    }
  }

  @Test func commandsKeepWhatTheyUse() throws {
    try withDevice { device in
      let result = try device.makeBuffer(bytes: 256, kind: .readback, label: "result")
      func commands() throws(VulkanError) -> CommandBuffer {
        let a = try words(64, device)
        return try device.record { r throws(VulkanError) in
          r.fill(a.whole, value: 9)
          r.copy(a.whole, to: result.whole)
        }
      }
      // Released while it may still be pending: the release waits.
      _ = try device.submit([commands()])
      try device.waitIdle()
      #expect(try device.words(in: result) == Array(repeating: 9, count: 64))
    }
  }

  @Test func manyThreadsRecordAndSubmit() throws {
    try withDevice { device in
      let results = try (0..<8).map { _ in try words(64, device) }
      let failures = Failures()
      DispatchQueue.concurrentPerform(iterations: 8) { i in
        do {
          let fill = try device.kernel(TestKernels.fill, [.init(id: 0, bits: 16)])
          let commands = try device.record { r throws(VulkanError) in
            try r.dispatch(fill, [.buffer(results[i].whole)], push: push(64, UInt32(i)), groups: (4, 1, 1))
          }
          for _ in 0..<5 { try device.submit([commands]).wait() }
        } catch {
          failures.append("\(error)")
        }
      }
      #expect(failures.all.isEmpty)
      #expect(device.counters.vkCreateComputePipelines == 1)
      for (i, result) in results.enumerated() {
        #expect(try device.words(in: result) == Array(UInt32(i)..<UInt32(i) + 64))
      }
    }
  }

  @Test func kernelsAreMadeOncePerConstants() throws {
    try withDevice { device in
      let a = try device.kernel(TestKernels.fill, [.init(id: 0, bits: 32)])
      let b = try device.kernel(TestKernels.fill, [.init(id: 0, bits: 64)])
      #expect(a !== b)
      #expect(try device.kernel(TestKernels.fill, [.init(id: 0, bits: 32)]) === a)
      #expect(device.counters.vkCreateComputePipelines == 2)
    }
  }

  @Test func damagedPipelineFileIsIgnoredAndReplaced() throws {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: directory) }
    let instance = try Instance(validation: TestDevice.validates)
    let plan = try DevicePlan(choosing: TestDevice.name, from: instance.snapshots())
    let file = PipelineFile(plan.snapshot, directory: directory)
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    try Data(repeating: 0xab, count: 5000).write(to: file.url)
    #expect(file.load() == nil)
    do {
      let device = try Device(plan: plan, instance: instance, cacheDirectory: directory)
      _ = try device.kernel(TestKernels.add, [])
      guard device.saveCache() else { try Test.cancel("the driver hands out no compiled pipelines") }
    }
    let stored = try #require(file.load())
    #expect(stored.count >= 32)
    do {
      let device = try Device(plan: plan, instance: instance, cacheDirectory: directory)
      _ = try device.kernel(TestKernels.add, [])
      device.saveCache()
    }
    #expect(file.load() != nil)
    #expect(instance.messages == [])
  }

  @Test func profilerMeasures() throws {
    try withDevice { device in
      guard device.plan.hasTimestamps else { try Test.cancel("the device has no timestamps") }
      let n: UInt32 = 1 << 20
      let a = try words(Int(n), device)
      let profiler = try Profiler(device, count: 3)
      let fill = try device.kernel(TestKernels.fill, [.init(id: 0, bits: 64)])
      let commands = try device.record { r throws(VulkanError) in
        r.writeTimestamp(profiler, 0)
        try r.dispatch(fill, [.buffer(a.whole)], push: push(n, 1), groups: (n / 64, 1, 1))
        r.writeTimestamp(profiler, 1)
        for _ in 0..<20 { try r.dispatch(fill, [.buffer(a.whole)], push: push(n, 1), groups: (n / 64, 1, 1)) }
        r.writeTimestamp(profiler, 2)
      }
      for _ in 0..<2 {
        let start = Date()
        try device.submit([commands]).wait()
        let wall = Date().timeIntervalSince(start)
        let seconds = try profiler.read()
        #expect(seconds[0] == 0 && seconds[1] > 0 && seconds[2] > seconds[1])
        #expect(seconds[2] < wall)
      }
    }
  }

  @Test func errorsNameValuesAndRemedies() throws {
    let unknown = #expect(throws: VulkanError.self) { try Device.open("no such device") }
    #expect("\(try #require(unknown))".hasPrefix("no device matches 'no such device'; present are 0: "))

    try withDevice { device in
      let limits = device.snapshot.limits
      let fill = try device.kernel(TestKernels.fill, [.init(id: 0, bits: 1)])
      let a = try words(64, device)
      let groups = #expect(throws: VulkanError.self) {
        try device.record { r throws(VulkanError) in
          try r.dispatch(
            fill, [.buffer(a.whole)], push: push(64, 0), groups: (1, UInt32(limits.groups[1]) + 1, 1))
        }
      }
      #expect(
        groups?.description
          == "kernel 'test_fill' groups in y: asked \(limits.groups[1] + 1), this device allows \(limits.groups[1])")

      let tooWide = UInt32(limits.workgroupSize[0] + 1)
      let workgroup = #expect(throws: VulkanError.self) {
        try device.kernel(TestKernels.fill, [.init(id: 0, bits: tooWide)])
      }
      #expect(
        workgroup
          == .limitExceeded(
            what: "kernel 'test_fill' workgroup size in x", asked: Int(tooWide), limit: limits.workgroupSize[0]))

      let huge = #expect(throws: VulkanError.self) {
        try device.makeBuffer(bytes: 1 << 40, kind: .device, label: "activations")
      }
      let heap = binaryUnits(device.snapshot.heaps.map(\.bytes).max() ?? 0)
      #expect(
        huge?.description
          == "out of device memory for 'activations' (asked 1.0 TiB, heap has \(heap)): use a smaller batch or model")
    }
  }

  @Test func descriptorLimitsAreChecked() throws {
    let instance = try Instance(validation: TestDevice.validates)
    var snapshot = try DevicePlan(choosing: TestDevice.name, from: instance.snapshots()).snapshot
    snapshot.limits.storageBufferRange = 1024
    snapshot.limits.texelBufferElements = 64
    snapshot.storageTexelFormats.remove(.r32f)
    let device = try Device(plan: DevicePlan(choosing: nil, from: [snapshot]), instance: instance)
    let x = try words(512, device)

    func error(_ source: KernelSource, _ bindings: [BoundResource]) throws -> VulkanError? {
      let kernel = try device.kernel(source, [])
      return #expect(throws: VulkanError.self) {
        try device.record { r throws(VulkanError) in
          try r.dispatch(kernel, bindings, push: push(1, 0), groups: (1, 1, 1))
        }
      }
    }
    let y = x.slice(offset: 1024, bytes: 256)
    let range = try error(TestKernels.add, [.buffer(x.whole), .buffer(y)])
    #expect(
      range?.description
        == "kernel 'test_add' bytes of binding 'X' (maxStorageBufferRange): asked 2048, this device allows 1024")
    let texels = try error(TestKernels.texels, [.texels(x.whole, .rgba32f), .unused, .unused])
    #expect(
      texels?.description
        == "kernel 'test_texels' texels of binding 'X' (maxTexelBufferElements): asked 128, this device allows 64")
    let format = try error(TestKernels.texels, [.texels(y, .rgba32f), .unused, .texels(y, .r32f)])
    #expect(format == .unsupportedTexelFormat(kernel: "test_texels", binding: "Y", format: .r32f))
    #expect(instance.messages == [])
  }

  @Test(
    .enabled(
      if: computesWithThreads, "Mesa's software driver alone has threads to place, on Linux and two processors or more")
  )
  func theDriversThreadsHaveAProcessorEach() throws {
    try withDevice { _ in
      let alone = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").compactMap { thread -> Int? in
        // A thread may end in between.
        let status = try? String(contentsOfFile: "/proc/self/task/\(thread)/status", encoding: .utf8)
        let line = status?.split(separator: "\n").first { $0.hasPrefix("Cpus_allowed_list:\t") }
        return line.flatMap { Int($0.dropFirst("Cpus_allowed_list:\t".count)) }
      }
      #expect(Set(alone).count == ProcessInfo.processInfo.activeProcessorCount)
    }
  }

  static let computesWithThreads =
    FileManager.default.fileExists(atPath: "/proc/self/task") && ProcessInfo.processInfo.activeProcessorCount > 1
    && (try? TestDevice.shared.get())?.plan.snapshot.name.contains("llvmpipe") == true

  /// Without this the other tests' `messages == []` could hold because nobody looks.
  @Test(.enabled(if: TestDevice.validates)) func validationReports() throws {
    let heard = Failures()
    let instance = try Instance(validation: true) { heard.append($0) }
    let device = try Device(plan: DevicePlan(choosing: TestDevice.name, from: instance.snapshots()), instance: instance)
    let a = try words(64, device)
    let texels = try device.kernel(TestKernels.texels, [])
    // The shader reads floats; unsigned integers are a type error that only validation sees.
    _ = try device.record { r throws(VulkanError) in
      try r.dispatch(
        texels, [.texels(a.whole, .r32ui), .unused, .unused], push: push(64, 0), groups: (1, 1, 1))
    }
    #expect(!instance.messages.isEmpty)
    #expect(heard.all == instance.messages)
  }
}

private func withDevice(_ body: (Device) throws -> Void) throws {
  let instance = try Instance(validation: TestDevice.validates)
  let cache = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
  defer { try? FileManager.default.removeItem(at: cache) }
  do {
    let plan = try DevicePlan(choosing: TestDevice.name, from: instance.snapshots())
    try body(Device(plan: plan, instance: instance, cacheDirectory: cache))
  }
  // After the device is gone, so that objects it left behind are reported too.
  #expect(instance.messages == [])
}

private func words(_ count: Int, _ device: Device) throws(VulkanError) -> Buffer {
  try device.makeBuffer(bytes: count * 4, kind: .device, label: "words")
}

extension Device {
  fileprivate func upload(words: [UInt32], to buffer: Buffer) throws {
    try words.withUnsafeBytes { try upload($0, to: buffer.whole) }
  }

  fileprivate func words(in buffer: Buffer) throws(VulkanError) -> [UInt32] {
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: buffer.bytes, alignment: 4)
    defer { bytes.deallocate() }
    try download(buffer.whole, into: bytes)
    return Array(bytes.bindMemory(to: UInt32.self))
  }
}

private func push(_ a: UInt32, _ b: UInt32) -> [UInt8] { withUnsafeBytes(of: (a, b)) { Array($0) } }

private final class Failures: @unchecked Sendable {  // guarded by the lock
  private let lock = NSLock()
  private var messages: [String] = []
  func append(_ message: String) { lock.withLock { messages.append(message) } }
  var all: [String] { lock.withLock { messages } }
}
