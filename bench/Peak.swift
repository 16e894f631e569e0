import GPU
import Graph
import Kernels
import Tuning

/// What the device was measured to do at best: the roofs of the roofline.
struct Peak {
  /// f32, one multiply-add being two operations; in mixed precision what the matrix units do.
  let gflops: Double
  /// Bytes read and written by the better of two ways to copy memory that no cache holds.
  let gbps: Double

  init(gflops: Double, gbps: Double) {
    self.gflops = gflops
    self.gbps = gbps
  }

  init(of device: Device, seconds: Double) throws {
    let kernels =
      try device.traits.matrixUnit.map { try PeakKernels.products(by: $0, on: device) }
      ?? PeakKernels.multiplyAdds(on: device)
    gflops = try kernels.rate(seconds: seconds)
    gbps = try PeakKernels.copies(on: device).map { try $0.rate(seconds: seconds) }.max() ?? 0
  }
}

/// Work with a known amount of it.
struct PeakKernels {
  let contender: Contender
  /// Floating-point operations or bytes of one run.
  let amount: Int

  /// 1e9 per second, of the best run.
  fileprivate func rate(seconds: Double) throws -> Double {
    1e-9 * Double(amount) / (try alternate([contender], seconds: seconds)[0].min)
  }

  /// Multiply-adds in registers, for some milliseconds.
  /// - Parameter half: in 16-bit floats.
  static func multiplyAdds(half: Bool = false, on device: Device) throws -> PeakKernels {
    let invocations = 1 << 17
    let kernel = try device.benchKernel(
      half ? "fma_f16" : "fma_f32", PackageResources.fma_comp, defining: half ? ["HALF"] : [])
    let sums = try device.makeBuffer(bytes: 4 * invocations, kind: .device, label: "sums").whole
    return try looping(half ? "f16" : "f32", operations: 2 * 768 * invocations, on: device) {
      iterations, recorder throws(VulkanError) in
      try recorder.dispatch(
        kernel, [.buffer(sums)], push: pushBytes(iterations) + pushBytes(Float(1e-6)),
        groups: (UInt32(invocations / 64), 1, 1))
    }
  }

  /// Products of matrices in registers, by the units that mixed precision uses.
  static func products(by unit: MatrixUnit, on device: Device) throws -> PeakKernels {
    let (groups, subgroups) = (1024, 128 / device.traits.subgroupSize)
    let extents = [unit.m, unit.n, unit.k].enumerated().map { SpecializationEntry(id: UInt32($0), bits: UInt32($1)) }
    let kernel = try device.benchKernel("matrices", PackageResources.matrices_comp, constants: extents)
    let factors = try device.makeBuffer(bytes: 2048, kind: .device, label: "factors").whole
    let sums = try device.makeBuffer(
      bytes: 4 * groups * subgroups * unit.m * unit.n, kind: .device, label: "sums"
    ).whole
    try device.submit([device.record { $0.fill(factors, value: 0) }]).wait()
    let operations = 2 * 16 * unit.m * unit.n * unit.k * subgroups * groups
    return try looping("f16, sums f32", operations: operations, on: device) {
      iterations, recorder throws(VulkanError) in
      try recorder.dispatch(
        kernel, [.buffer(factors), .buffer(sums)], push: pushBytes(iterations), groups: (UInt32(groups), 1, 1))
    }
  }

  /// As many iterations as take some milliseconds.
  /// - Parameter operations: of one iteration.
  private static func looping(
    _ family: String, operations: Int, on device: Device,
    _ dispatch: (UInt32, inout Recorder) throws(VulkanError) -> Void
  ) throws -> PeakKernels {
    var iterations = 8
    while true {
      let commands = try device.record { recorder throws(VulkanError) in
        try dispatch(UInt32(iterations), &recorder)
      }
      let contender = try Contender(family, [commands], on: device)
      if try iterations >= 16_384 || contender.sample().device > 4e-3 {
        return PeakKernels(contender: contender, amount: operations * iterations)
      }
      iterations *= 4
    }
  }

  /// Copies between two buffers larger than caches: by a shader, and by the driver.
  static func copies(on device: Device) throws -> [PeakKernels] {
    let limit = min(128 << 20, device.traits.maxStorageBufferRange, device.memoryAvailable / 4)
    let bytes = 1 << max(20, limit.bitWidth - 1 - limit.leadingZeroBitCount)
    let x = try device.makeBuffer(bytes: bytes, kind: .device, label: "copy from").whole
    let y = try device.makeBuffer(bytes: bytes, kind: .device, label: "copy to").whole
    try device.submit([device.record { $0.fill(x, value: 0x3f80_0000) }]).wait()
    let isTexels = bytes / 16 <= device.traits.maxTexelBufferElements
    let kernel = try device.benchKernel(
      "copy_vectors", PackageResources.copy_comp, defining: isTexels ? ["TEXELS"] : [])
    let groups = bytes / 16 / 64
    let rows = max(1, groups >> 15)
    let shader = try device.record { recorder throws(VulkanError) in
      try recorder.dispatch(
        kernel, [isTexels ? .texels(x, .rgba32f) : .buffer(x), .buffer(y)], push: [],
        groups: (UInt32(groups / rows), UInt32(rows), 1))
    }
    let driver = try device.record { $0.copy(x, to: y) }
    return [
      PeakKernels(contender: try Contender("shader", [shader], on: device), amount: 2 * bytes),
      PeakKernels(contender: try Contender("vkCmdCopyBuffer", [driver], on: device), amount: 2 * bytes),
    ]
  }

  /// `count` dispatches of next to nothing in one command buffer.
  /// - Parameter dependent: each writes what the last one wrote, so a barrier stands between them.
  static func dispatches(_ count: Int, dependent: Bool, on device: Device) throws -> PeakKernels {
    let kernel = try device.benchKernel("touch", PackageResources.touch_comp)
    let words = try device.makeBuffer(bytes: 256 * count, kind: .device, label: "words")
    let commands = try device.record { recorder throws(VulkanError) in
      for i in 0..<count {
        let word = words.slice(offset: dependent ? 0 : 256 * i, bytes: 256)
        try recorder.dispatch(kernel, [.buffer(word)], push: [], groups: (1, 1, 1))
      }
    }
    return PeakKernels(contender: try Contender("", [commands], on: device), amount: count)
  }

  /// Submission and wait for a single dispatch of next to nothing.
  static func submission(on device: Device) throws -> Contender {
    let kernel = try device.benchKernel("touch", PackageResources.touch_comp)
    let word = try device.makeBuffer(bytes: 256, kind: .device, label: "word").whole
    let commands = try device.record { recorder throws(VulkanError) in
      try recorder.dispatch(kernel, [.buffer(word)], push: [], groups: (1, 1, 1))
    }
    return try Contender("submit and wait") { try device.submit([commands]).wait() }
  }
}

/// As a push-constant block wants it.
func pushBytes<T: BitwiseCopyable>(_ value: T) -> [UInt8] { withUnsafeBytes(of: value) { Array($0) } }
