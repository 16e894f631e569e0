import GPU
import Graph

/// A cluster of lanes per row (`include/row.glsl`).
struct RowClusters {
  let count: UInt32
  let columns: UInt32
  let cluster: UInt32
  let groups: GroupCount
  /// Set for the kernels' wide form, see `Dispatch`.
  let lanes: Int?

  /// Whether a lane can hold its part of a row in registers. Unrolled code has its limits.
  var areHeld: Bool { columns <= 64 * cluster }

  /// - Parameter inAnyOrder: whether the kernel stores rows in another order than it computes them.
  init(_ shape: Shape, _ traits: DeviceTraits, inAnyOrder: Bool = false) {
    count = UInt32(shape.rows)
    columns = UInt32(shape.last)
    let pair = 1 + shape.last % 2  // PAIR
    let together = max(1, 512 / (pair * shape.last)) * pair  // TOGETHER
    // A subgroup takes several short rows, one after another.
    if traits.storesWide, 8...4096 ~= shape.last, shape.rows % pair == 0,
      together...together * Dispatch.wideParts ~= shape.rows, shape.last % 8 == 0 || !inAnyOrder
    {
      cluster = UInt32(traits.subgroupSize)
      groups = .linear((shape.rows + together - 1) / together * traits.subgroupSize, perGroup: 64)
      lanes = traits.subgroupSize
      return
    }
    // Short rows on a CPU driver: sums across lanes cost more than the strided reads that they save.
    let cluster =
      traits.isSoftware
      ? (shape.last <= 128 ? min(2, traits.cluster) : traits.cluster)
      : traits.lanes(perRowOf: (shape.last + 3) / 4, atLeast: traits.cluster)
    self.cluster = UInt32(cluster)
    groups = .linear(shape.rows * cluster, perGroup: 64)
    lanes = nil
  }
}
