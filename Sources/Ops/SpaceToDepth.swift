import Graph
import Kernels

/// Cuts maps into square cells: x [B, H, W, C] -> [B, H/P, W/P, C P P], elements of a cell in the order (channel, y, x) of a
/// convolution weight [D, C, P, P] read as [D, C P P]; so a product with that is the convolution of stride P. Inverse: back.
package struct SpaceToDepth: Op {
  package static let name = "space_to_depth"
  let patch: Int
  var inverse = false

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    let x = inputs[0].shape
    guard x.rank == 4 else { throw mismatch(inputs, "x is not [B, H, W, C]") }
    if inverse {
      guard x[3] % (patch * patch) == 0 else { throw mismatch(inputs, "channels are no multiple of \(patch * patch)") }
      return [TensorType([x[0], x[1] * patch, x[2] * patch, x[3] / (patch * patch)])]
    }
    guard x[1] % patch == 0, x[2] % patch == 0 else {
      throw mismatch(inputs, "height or width is no multiple of \(patch)")
    }
    return [TensorType([x[0], x[1] / patch, x[2] / patch, x[3] * patch * patch])]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let (map, count) = ((inverse ? site.outputs : site.inputs)[0].shape, site.outputs[0].count)
    return Launch([
      Dispatch(
        SpaceToDepthKernel.self,
        constants: .init(
          H: UInt32(map[1]), W: UInt32(map[2]), C: UInt32(map[3]), P: UInt32(patch), INVERSE: inverse),
        push: .init(count: UInt32(count)), [.input(0).texels(.r32f), .output(0)],
        groups: .linear((count + 3) / 4, perGroup: 64))
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    guard let dy = pullback.cotangents[0] else { return [nil] }
    return try dy.graph.apply(SpaceToDepth(patch: patch, inverse: !inverse), to: [dy])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let x = inputs[0]
    let s = x.shape
    let map: Shape = inverse ? [s[0], s[1] * patch, s[2] * patch, s[3] / (patch * patch)] : s
    let cells: Shape = [map[0], map[1] / patch, map[2] / patch, map[3] * patch * patch]
    var y = HostTensor(zeros: TensorType(inverse ? map : cells))
    for e in 0..<map.count {
      let (c, j, i) = (e % map[3], e / map[3] % map[2], e / (map[3] * map[2]) % map[1])
      let cell = (e / (map[3] * map[2] * map[1]) * cells[1] + i / patch) * cells[2] + j / patch
      let f = cell * cells[3] + (c * patch + i % patch) * patch + j % patch
      if inverse { y[e] = x[f] } else { y[f] = x[e] }
    }
    return [y]
  }

  package static let cases: [OpCase] = [
    ([1, 1, 1, 1], 1, false), ([2, 4, 6, 3], 2, false), ([1, 9, 3, 5], 3, false), ([2, 8, 8, 4], 2, false),
    ([2, 2, 3, 12], 2, true), ([1, 3, 1, 45], 3, true),
  ].map { (x: Shape, patch: Int, inverse: Bool) in
    OpCase("\(x) by \(patch)\(inverse ? ", back" : "")", SpaceToDepth(patch: patch, inverse: inverse), [.init(x)])
  }
}

extension Value {
  /// [B, H, W, C] -> [B, H/P, W/P, C P P].
  package func spaceToDepth(_ patch: Int) throws(ShapeError) -> Value {
    try graph.apply(SpaceToDepth(patch: patch), to: [self])[0]
  }
}
