import GPU
import Graph
import Kernels

/// The sum over each expert's rows: x [S, N], offsets u32 [E + 1] -> [E, N], the gradient of a grouped product's bias.
package struct GroupedColumnSum: Op {
  package static let name = "grouped_column_sum"

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard inputs[0].shape.rank == 2, inputs[1].dtype == .u32, inputs[1].shape.rank == 1, inputs[1].count >= 2 else {
      throw mismatch(inputs, "wants rows [S, N] and u32 offsets [E + 1]")
    }
    return [TensorType([inputs[1].count - 1, inputs[0].shape.last])]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let (rows, columns) = (site.inputs[0].shape.rows, site.inputs[0].shape.last)
    let experts = site.inputs[1].count - 1
    let tiles = ColumnTiles(columns: columns, within: columns, cluster: site.traits.cluster, site.traits)
    return Launch([
      Dispatch(
        GroupedColumnSumKernel.self,
        constants: .init(CLUSTER: tiles.clusterConstant, C: UInt32(columns), local_size_x: tiles.groupSize),
        push: .init(rows: UInt32(rows), experts: UInt32(experts)),
        [.input(0).texels(rowsOf: columns), .input(1).texels(.r32ui), .output(0)], groups: tiles.groups(rows: experts),
        lanes: tiles.lanes)
    ])
  }

  package func fills(_ inputs: [TensorType]) -> [OpCase.Fill] {
    [.normal(1), OpCase.Input.offsets(rows: inputs[0].shape.rows, experts: inputs[1].count - 1).fill]
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (x, offsets) = (inputs[0], inputs[1])
    let columns = x.shape.last
    var sums = HostTensor(zeros: TensorType([offsets.data.count - 1, columns]))
    for e in 0..<offsets.data.count - 1 {
      for s in Int(offsets[e])..<Int(offsets[e + 1]) {
        for j in 0..<columns { sums[e * columns + j] += x[s * columns + j] }
      }
    }
    return [sums]
  }

  package static let cases = [(1, 1, 1), (7, 3, 5), (129, 4, 64), (300, 3, 10), (300, 5, 200)].map {
    rows, experts, columns in
    OpCase(
      "\(rows)x\(columns), \(experts)", GroupedColumnSum(),
      [.init([rows, columns]), .offsets(rows: rows, experts: experts)], checksGradient: false)
  }
}

extension OpCase.Input {
  /// Uneven `offsets` of `rows` over `experts`; every third expert is empty.
  static func offsets(rows: Int, experts: Int) -> OpCase.Input {
    let inner = (1..<max(2, experts)).map { e in Double(rows * (e - (e % 3 == 2 ? 1 : 0)) / experts) }
    return .init([experts + 1], .u32, .values([0] + inner.prefix(experts - 1) + [Double(rows)]))
  }
}
