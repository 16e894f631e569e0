/// The facts about a device that ops may base a launch on. A plain value, so launches are tested without a device.
package struct DeviceTraits: Sendable, Hashable {
  /// Invocations per subgroup that `subgroupShuffle` reaches (lavapipe 8, SwiftShader 4, NVIDIA 32, AMD 32 or 64); 1 where compute
  /// shaders cannot shuffle.
  package var subgroupSize: Int
  /// True for a CPU driver: wide register tiles and texel-buffer reads win there, shared memory loses (docs/performance.md).
  package var isSoftware: Bool
  /// Whether four subgroups per SIMD keep 128 registers for each invocation: false on AMD's GCN, which has 64 then.
  package var hasLargeRegisterFile: Bool
  /// Whether shaders may use integers of 64 bits, and exchange them among lanes, which makes stores wider.
  package var hasInt64: Bool
  /// Whether stores outside of what is bound are discarded.
  package var discardsOutside: Bool
  /// Whether a software driver loads once what all lanes read alike by address in a loop, too.
  package var loadsOnceInLoops: Bool
  /// What products may use, which round their factors then; nil where the device has none, or computes in f32 (`Precision`).
  package var matrixUnit: MatrixUnit?
  /// Of a software driver's processor.
  package var longestLoop: LongestLoop
  package var maxTexelBufferElements: Int
  /// That a kernel may bind.
  package var maxStorageBuffers: Int
  package var sharedMemoryBytes: Int
  package var maxWorkgroupInvocations: Int
  package var maxPushConstantBytes: Int
  package var maxStorageBufferRange: Int
  /// Of one buffer.
  package var maxAllocationBytes: Int
  /// In x, y, z.
  package var maxGroups: [Int]
  /// Invocations in x, y, z.
  package var maxWorkgroupSize: [Int]

  package init(
    subgroupSize: Int = 8, isSoftware: Bool = true, hasLargeRegisterFile: Bool = true, hasInt64: Bool = true,
    discardsOutside: Bool = true, loadsOnceInLoops: Bool = false, matrixUnit: MatrixUnit? = nil,
    longestLoop: LongestLoop = .instructions4000, maxTexelBufferElements: Int = 1 << 27, maxStorageBuffers: Int = 16,
    sharedMemoryBytes: Int = 32768, maxWorkgroupInvocations: Int = 1024, maxPushConstantBytes: Int = 128,
    maxStorageBufferRange: Int = 1 << 27, maxAllocationBytes: Int = .max,
    maxGroups: [Int] = [guaranteedGroups, guaranteedGroups, guaranteedGroups],
    maxWorkgroupSize: [Int] = [1024, 1024, 64]
  ) {
    self.subgroupSize = subgroupSize
    self.isSoftware = isSoftware
    self.hasLargeRegisterFile = hasLargeRegisterFile
    self.hasInt64 = hasInt64
    self.discardsOutside = discardsOutside
    self.loadsOnceInLoops = loadsOnceInLoops
    self.matrixUnit = matrixUnit
    self.longestLoop = longestLoop
    self.maxTexelBufferElements = maxTexelBufferElements
    self.maxStorageBuffers = maxStorageBuffers
    self.sharedMemoryBytes = sharedMemoryBytes
    self.maxWorkgroupInvocations = maxWorkgroupInvocations
    self.maxPushConstantBytes = maxPushConstantBytes
    self.maxStorageBufferRange = maxStorageBufferRange
    self.maxAllocationBytes = maxAllocationBytes
    self.maxGroups = maxGroups
    self.maxWorkgroupSize = maxWorkgroupSize
  }

  package var precision: Precision { matrixUnit == nil ? .f32 : .mixed }

  /// Whether kernels take their wide forms, which store eight floats as four 64-bit integers: a software driver's loop over lanes costs
  /// the same for those, and stores lane by lane are fewer. On that driver they also read by address (`DevicePlan.usesAddresses`).
  package var storesWide: Bool { isSoftware && hasInt64 && (4...32).contains(subgroupSize) }

  /// Whether a number of one lane reaches the others by a broadcast (`include/broadcasts.glsl`).
  package var broadcastsLanes: Bool { loadsOnceInLoops && subgroupSize > 8 }

  /// Lanes that share one row or tile in the cluster kernels (`include/cluster.glsl`): 8, or the subgroup where smaller.
  package var cluster: Int { min(8, subgroupSize) }

  /// The same where values are handed around: on a software driver all of a subgroup up to 16 lanes, so that constants name
  /// them.
  package var exchange: Int { isSoftware ? min(16, subgroupSize) : cluster }

  /// Lanes for a row of `vectors` vectors where each keeps its part in registers, about two: a power of two from
  /// `least` to the subgroup's size, and no more than a workgroup of 64. For GPUs.
  package func lanes(perRowOf vectors: Int, atLeast least: Int) -> Int {
    var lanes = least
    while 2 * lanes <= min(64, subgroupSize), 2 * lanes < vectors { lanes *= 2 }
    return lanes
  }

  /// `maxComputeWorkGroupCount` that every Vulkan device guarantees per axis.
  package static let guaranteedGroups = 65_535
}
