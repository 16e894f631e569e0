import GPU
import Graph
import Kernels

/// The sum over all rows: x [..., C] -> [C].
package struct ColumnSum: Op {
  package static let name = "column_sum"

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    [TensorType([inputs[0].shape.last])]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let shape = site.inputs[0].shape
    return .columnSum(.input(0), rows: shape.rows, columns: shape.last, traits: site.traits)
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    guard let dy = pullback.cotangents[0] else { return [nil] }
    return [try dy.graph.fill(pullback.inputs[0].shape, with: 0).addBias(dy)]
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let x = inputs[0]
    let columns = x.shape.last
    return [HostTensor([columns], (0..<columns).map { c in (0..<x.shape.rows).reduce(0) { $0 + x[$1 * columns + c] } })]
  }

  package static let cases = [[1, 1], [3, 7], [2, 85, 64], [129, 10], [700, 129], [4100, 4], [1300, 200]].map {
    (extents: [Int]) in
    OpCase("\(Shape(extents))", ColumnSum(), [.init(Shape(extents))])
  }
}

extension Value {
  /// [..., C] -> [C].
  package func columnSum() throws(ShapeError) -> Value { try graph.apply(ColumnSum(), to: [self])[0] }
}

/// Sums over rows, cut into chunks whose partial sums a second dispatch adds; the cut depends on nothing but the shape
/// and the device, so the order of additions is fixed.
struct RowChunks {
  let columns: Int
  let rows: Int
  /// Rows per chunk.
  let extent: Int
  let tiles: ColumnTiles

  /// - Parameter within: how many columns in a row a tile of the wide form has to stay within.
  init(rows: Int, columns: Int, within: Int? = nil, traits: DeviceTraits) {
    // On a CPU driver a lane takes whole columns, since what it reads then lies side by side.
    let tiles = ColumnTiles(
      columns: columns, within: within ?? columns, cluster: traits.isSoftware ? 1 : traits.cluster, traits)
    let chunks = max(1, min(tiles.chunks(rows: rows, traits), rows / (16 * tiles.cluster)))
    self.init(rows: rows, columns: columns, extent: (rows + chunks - 1) / chunks, tiles: tiles)
  }

  private init(rows: Int, columns: Int, extent: Int, tiles: ColumnTiles) {
    self.rows = rows
    self.columns = columns
    self.extent = extent
    self.tiles = tiles
  }

  var count: Int { (rows + extent - 1) / extent }

  /// The partial sums, and the one chunk that they are for the second dispatch.
  var partial: TensorType { TensorType([count, columns]) }
  var ofPartial: RowChunks { RowChunks(rows: count, columns: columns, extent: count, tiles: tiles) }

  var groups: GroupCount { tiles.groups(rows: count) }

  /// y[chunk, c] = the sum of x[r, c] over the chunk's rows.
  func sum(_ x: Operand, to y: Operand) -> Dispatch {
    Dispatch(
      ColumnSumKernel.self,
      constants: .init(CLUSTER: tiles.clusterConstant, C: UInt32(columns), local_size_x: tiles.groupSize),
      push: .init(rows: UInt32(rows), chunk: UInt32(extent), chunks: UInt32(count)), [x.texels(rowsOf: columns), y],
      groups: groups, lanes: tiles.lanes)
  }
}

/// How kernels that sum down columns cut these (`include/columns.glsl`).
struct ColumnTiles {
  private let columns: Int
  let cluster: Int
  /// Set for the wide form, see `Dispatch`.
  let lanes: Int?

  /// - Parameters:
  ///   - within: how many columns in a row a tile of the wide form has to stay within.
  ///   - cluster: of the narrow form.
  init(columns: Int, within: Int, cluster: Int, _ traits: DeviceTraits) {
    self.columns = columns
    let width = min(columns, 4 * traits.subgroupSize)
    let isWide = traits.loadsOnceInLoops && traits.storesWide && traits.discardsOutside && columns % 8 == 0
    lanes = isWide && (within == columns || within % width == 0) ? traits.subgroupSize : nil
    self.cluster = cluster
  }

  private var perRow: Int {
    let width = lanes.map { 4 * $0 } ?? 4
    return (columns + width - 1) / width
  }

  /// On a CPU driver a second dispatch costs as much as summing thousands of vectors; a GPU needs thousands of lanes.
  fileprivate func chunks(rows: Int, _ traits: DeviceTraits) -> Int {
    if lanes != nil { return rows * columns < 1 << 17 ? 1 : 8 / perRow }
    if traits.isSoftware { return rows * columns < 1 << 15 ? 1 : 256 / (perRow * cluster) }
    return 32_768 / (perRow * cluster)
  }

  var clusterConstant: UInt32 { UInt32(cluster) }
  var groupSize: UInt32 { UInt32(lanes ?? 64) }

  /// For so many rows of sums.
  func groups(rows: Int) -> GroupCount {
    lanes == nil ? .linear(perRow * rows * cluster, perGroup: 64) : .linear(perRow * rows, perGroup: 1)
  }
}

extension Launch {
  /// Output 0 [columns] = the sum over the rows of x [rows, columns].
  static func columnSum(
    _ x: Operand, rows: Int, columns: Int, traits: DeviceTraits, firstScratch: Int = 0
  ) -> Launch {
    let chunks = RowChunks(rows: rows, columns: columns, traits: traits)
    guard chunks.count > 1 else { return Launch([chunks.sum(x, to: .output(0))]) }
    return Launch(
      scratch: [chunks.partial],
      [chunks.sum(x, to: .scratch(firstScratch)), chunks.ofPartial.sum(.scratch(firstScratch), to: .output(0))])
  }
}
