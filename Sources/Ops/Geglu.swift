import Foundation
import Graph
import Kernels

/// y = a gelu(b) for x = [a | b] (Shazeer, "GLU variants improve transformer", 2020), with the exact GELU:
/// x [..., 2 F] -> y [..., F].
package struct Geglu: Op {
  package static let name = "geglu"

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    let shape = inputs[0].shape
    guard shape.rank >= 1, shape.last % 2 == 0 else { throw mismatch(inputs, "x is not [..., 2 F]") }
    return [TensorType(shape.replacingLast(with: shape.last / 2))]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let shape = site.outputs[0].shape
    let rows = RowClusters(shape, site.traits)
    return Launch([
      Dispatch(
        GegluKernel.self, constants: .init(CLUSTER: rows.cluster, C: rows.columns), push: .init(rows: rows.count),
        [.input(0).texels(rowsOf: shape.last), .output(0)], groups: rows.groups, lanes: rows.lanes)
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    guard let dy = pullback.cotangents[0] else { return [nil] }
    return try dy.graph.apply(GegluBackward(), to: [pullback.inputs[0], dy])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (x, half) = (inputs[0], inputs[0].shape.last / 2)
    let gates = Gelu().reference([x])[0]
    var y = HostTensor(zeros: TensorType(x.shape.replacingLast(with: half)))
    for i in y.data.indices {
      let a = i / half * 2 * half + i % half
      y[i] = x[a] * gates[a + half]
    }
    return [y]
  }

  package static let cases = [[1, 2], [3, 14], [2, 5, 64], [7, 258], [5, 112], [6, 258], [4, 272]].map {
    (extents: [Int]) in
    OpCase("\(Shape(extents))", Geglu(), [.init(Shape(extents), .f32, .normal(2))])
  }
}

/// The gradient of `Geglu`: (x [..., 2 F], dy [..., F]) -> dx.
package struct GegluBackward: Op {
  package static let name = "geglu_backward"

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    guard try Geglu().infer([inputs[0]])[0] == inputs[1] else { throw mismatch(inputs, "dy does not fit x") }
    return [inputs[0]]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let shape = site.inputs[1].shape
    let rows = RowClusters(shape, site.traits, inAnyOrder: true)
    return Launch([
      Dispatch(
        GegluBackwardKernel.self, constants: .init(CLUSTER: rows.cluster, C: rows.columns),
        push: .init(rows: rows.count),
        [.input(0).texels(rowsOf: shape.last), .input(1).texels(rowsOf: shape.last), .output(0)],
        groups: rows.groups, lanes: rows.lanes)
    ])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (x, dy, half) = (inputs[0], inputs[1], inputs[1].shape.last)
    let gates = Gelu().reference([x])[0]
    let slopes = GeluBackward().reference([x, x.map { _ in 1 }])[0]
    var dx = x
    for i in dy.data.indices {
      let a = i / half * 2 * half + i % half
      dx[a] = dy[i] * gates[a + half]
      dx[a + half] = dy[i] * x[a] * slopes[a + half]
    }
    return [dx]
  }

  package static let cases = [[1, 2], [3, 14], [2, 5, 64], [7, 258], [3, 512]].map { (extents: [Int]) in
    let shape = Shape(extents)
    return OpCase(
      "\(shape)", GegluBackward(),
      [.init(shape, .f32, .normal(2)), .init(shape.replacingLast(with: shape.last / 2))], checksGradient: false)
  }
}

extension Value {
  /// [..., 2 F] = [a | b] -> a gelu(b) [..., F].
  package func geglu() throws(ShapeError) -> Value { try graph.apply(Geglu(), to: [self])[0] }
}
