import Graph
import Kernels

/// Learned features of each position behind those of its token: (x [B, T, C] or [B, H, W, C], grid [G, T]) -> [B, T, C + G],
/// T = H W.
package struct AppendGrid: Op {
  package static let name = "append_grid"

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    let (x, grid) = (inputs[0].shape, inputs[1].shape)
    guard x.rank >= 3, grid.rank == 2 else { throw mismatch(inputs, "not x [B, T, C] and a grid [G, T]") }
    let tokens = x.rows / x[0]
    guard tokens == grid[1] else { throw mismatch(inputs, "\(tokens) tokens, a grid of \(grid[1]) positions") }
    return [TensorType([x[0], tokens, x.last + grid[0]])]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let (x, count) = (site.inputs[0].shape, site.outputs[0].count)
    return Launch([
      Dispatch(
        AppendGridKernel.self,
        constants: .init(
          T: UInt32(site.inputs[1].shape[1]), C: UInt32(x.last), G: UInt32(site.inputs[1].shape[0])),
        push: .init(count: UInt32(count)), [.input(0).texels(.r32f), .input(1).texels(.r32f), .output(0)],
        groups: .linear((count + 3) / 4, perGroup: 64))
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    guard let dy = pullback.cotangents[0] else { return [nil, nil] }
    let shape = pullback.inputs[0].shape
    let channels = shape.last
    return [
      pullback.needs[0] ? try dy.slice(0..<channels, axis: 2).reshaped(shape) : nil,
      pullback.needs[1] ? try dy.graph.apply(GridGradient(channels: channels), to: [dy])[0] : nil,
    ]
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (x, grid) = (inputs[0], inputs[1])
    let (tokens, channels) = (grid.shape[1], x.shape.last)
    var data: [Double] = []
    for r in 0..<x.shape.rows {
      data += x.data[r * channels..<(r + 1) * channels]
      for g in 0..<grid.shape[0] { data.append(grid[g * tokens + r % tokens]) }
    }
    return [HostTensor([x.shape[0], tokens, channels + grid.shape[0]], data)]
  }

  private static let sizes: [(x: Shape, features: Int)] = [
    ([1, 1, 1], 1), ([2, 3, 5], 2), ([3, 16, 12], 8), ([2, 3, 4, 6], 3),
  ]

  package static let cases = sizes.map { x, features in
    OpCase("\(x), \(features) more", AppendGrid(), [.init(x), .init([features, x.rows / x[0]])])
  }
}

/// What `AppendGrid` owes its grid: dy [B, T, C + G] -> [G, T].
package struct GridGradient: Op {
  package static let name = "grid_gradient"
  let channels: Int

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    let dy = inputs[0].shape
    guard dy.rank == 3, dy[2] > channels, dy[0] <= 65_535 else {
      throw mismatch(inputs, "dy is not [B, T, \(channels) + G]")
    }
    return [TensorType([dy[2] - channels, dy[1]])]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let (dy, grid) = (site.inputs[0].shape, site.outputs[0].shape)
    return Launch([
      Dispatch(
        GridGradientKernel.self, constants: .init(T: UInt32(dy[1]), C: UInt32(channels), G: UInt32(grid[0])),
        push: .init(batch: UInt32(dy[0])), [.input(0).texels(.r32f), .output(0)],
        groups: .linear(grid.count, perGroup: 64))
    ])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (dy, s) = (inputs[0], inputs[0].shape)
    var grid = HostTensor(zeros: TensorType([s[2] - channels, s[1]]))
    for i in dy.data.indices where i % s[2] >= channels {
      grid[(i % s[2] - channels) * s[1] + i / s[2] % s[1]] += dy[i]
    }
    return [grid]
  }

  package static let cases: [OpCase] = [([1, 1, 2], 1), ([2, 3, 7], 5), ([3, 16, 20], 12)].map { (dy: Shape, c: Int) in
    OpCase("\(dy) behind \(c)", GridGradient(channels: c), [.init(dy)], checksGradient: false)
  }
}

extension Value {
  /// [B, T, C] and a grid [G, T] -> [B, T, C + G].
  package func appendingGrid(_ grid: Value) throws(ShapeError) -> Value {
    try graph.apply(AppendGrid(), to: [self, grid])[0]
  }
}
