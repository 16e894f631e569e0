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

  package static let cases = [[1, 1], [3, 7], [2, 85, 64], [129, 10], [700, 129], [4100, 4]].map { (extents: [Int]) in
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
  let cluster: Int

  init(rows: Int, columns: Int, traits: DeviceTraits) {
    // On a CPU driver a lane takes whole columns, since what it reads then lies side by side, and a second dispatch costs
    // as much as summing thousands of vectors. A GPU needs thousands of lanes.
    let cluster = traits.isSoftware ? 1 : traits.cluster
    let lanes = (columns + 3) / 4 * cluster
    let count = traits.isSoftware ? (rows * columns < 1 << 15 ? 1 : 256 / lanes) : 32_768 / lanes
    let chunks = max(1, min(count, rows / (16 * cluster)))
    self.init(rows: rows, columns: columns, extent: (rows + chunks - 1) / chunks, cluster: cluster)
  }

  private init(rows: Int, columns: Int, extent: Int, cluster: Int) {
    self.rows = rows
    self.columns = columns
    self.extent = extent
    self.cluster = cluster
  }

  var count: Int { (rows + extent - 1) / extent }

  /// The partial sums, and the one chunk that they are for the second dispatch.
  var partial: TensorType { TensorType([count, columns]) }
  var ofPartial: RowChunks { RowChunks(rows: count, columns: columns, extent: count, cluster: cluster) }

  /// A cluster per four columns of each chunk.
  var groups: GroupCount { .linear((columns + 3) / 4 * count * cluster, perGroup: 64) }

  /// y[chunk, c] = the sum of x[r, c] over the chunk's rows.
  func sum(_ x: Operand, to y: Operand) -> Dispatch {
    Dispatch(
      ColumnSumKernel.self, constants: .init(CLUSTER: UInt32(cluster), C: UInt32(columns)),
      push: .init(rows: UInt32(rows), chunk: UInt32(extent)), [x.texels(rowsOf: columns), y], groups: groups)
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
