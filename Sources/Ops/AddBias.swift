import Graph
import Kernels

/// y = x + bias on every row: x [..., C], bias [C].
package struct AddBias: TokenWise {
  package static let name = "add_bias"

  package func tokenInputs(_ inputs: [TensorType]) -> [Int]? { [0] }

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard inputs[1].shape == [inputs[0].shape.last] else { throw mismatch(inputs, "bias is not [C] of x [..., C]") }
    return [inputs[0]]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let columns = site.inputs[0].shape.last
    let rows = RowClusters(site.inputs[0].shape, site.traits)
    return Launch([
      Dispatch(
        AddBiasKernel.self, constants: .init(CLUSTER: rows.cluster, C: rows.columns), push: .init(rows: rows.count),
        [.input(0).texels(rowsOf: columns), .input(1).texels(rowsOf: columns), .output(0)],
        groups: rows.groups, lanes: rows.lanes)
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    guard let dy = pullback.cotangents[0] else { return [nil, nil] }
    return [dy, pullback.needs[1] ? try dy.columnSum() : nil]
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (x, bias) = (inputs[0], inputs[1])
    return [HostTensor(x.type, x.data.indices.map { x[$0] + bias[$0 % x.shape.last] })]
  }

  package static let cases = [[1, 1], [3, 7], [2, 5, 64], [11, 10], [5, 129], [13, 56]].map { (extents: [Int]) in
    let shape = Shape(extents)
    return OpCase("\(shape)", AddBias(), [.init(shape), .init([shape.last])])
  }
}

extension Value {
  package func addBias(_ bias: Value) throws(ShapeError) -> Value { try graph.apply(AddBias(), to: [self, bias])[0] }
}
