import CVulkan

/// Products that a device's matrix units do in one instruction of a subgroup: [m, k] times [k, n], factors f16, sums f32
/// (VK_KHR_cooperative_matrix).
package struct MatrixUnit: Sendable, Hashable {
  package var m: Int
  package var n: Int
  package var k: Int

  package init(m: Int, n: Int, k: Int) {
    self.m = m
    self.n = n
    self.k = k
  }

  /// The largest that the kernels can use (`include/matmul_matrix.glsl`): extents of 8, 16 or 32.
  static func preferred(of units: [MatrixUnit]) -> MatrixUnit? {
    let extents: Set = [8, 16, 32]
    return units.filter { extents.isSuperset(of: [$0.m, $0.n, $0.k]) }.max { $0.m * $0.n * $0.k < $1.m * $1.n * $1.k }
  }

  static let deviceExtension = "VK_KHR_cooperative_matrix"

  /// Those of a device that has the extension.
  static func all(of device: Handle, _ instance: Handle) throws(VulkanError) -> [MatrixUnit] {
    let name = "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR"
    guard let address = vkGetInstanceProcAddr(instance.raw, name) else { return [] }
    let query = unsafeBitCast(address, to: GraftGetCooperativeMatrixProperties.self)
    var empty = GraftCooperativeMatrixProperties()
    empty.sType = GRAFT_COOPERATIVE_MATRIX_PROPERTIES
    return try enumerate(name, of: empty) { query(device.raw, $0, $1) }.filter {
      $0.AType == GRAFT_COMPONENT_FLOAT16 && $0.BType == GRAFT_COMPONENT_FLOAT16
        && $0.CType == GRAFT_COMPONENT_FLOAT32 && $0.ResultType == GRAFT_COMPONENT_FLOAT32
        && $0.saturatingAccumulation == 0 && $0.scope == GRAFT_SCOPE_SUBGROUP
    }.map { MatrixUnit(m: Int($0.MSize), n: Int($0.NSize), k: Int($0.KSize)) }
  }
}
