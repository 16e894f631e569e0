import Graph
import Kernels

/// How far a kernel is from a stochastic block model (Holland et al. 1983): (p [U, U], block u32 [U]) -> [U], rows that add
/// up to the mean over all (r, c) of (p[r, c] - g)^2, where g is `inside` if c lies in the block of row r, else `across`.
/// Blocks are `blocks` runs of consecutive columns; which block a row stands for is given.
package struct BlockModel: Op {
  package static let name = "block_model"
  let blocks: Int
  let inside: Float
  let across: Float

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    let p = inputs[0].shape
    guard p.rank == 2, p[0] == p[1], inputs[1] == TensorType([p[0]], .u32) else {
      throw mismatch(inputs, "not p [U, U] and blocks u32 [U]")
    }
    guard blocks > 0, p[0] % blocks == 0 else { throw mismatch(inputs, "\(p[0]) do not divide into \(blocks) blocks") }
    return [TensorType([p[0]])]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let (count, cluster) = (site.inputs[0].shape[0], site.traits.cluster)
    return Launch([
      Dispatch(
        BlockModelKernel.self, constants: .init(CLUSTER: UInt32(cluster)),
        push: .init(U: UInt32(count), size: UInt32(count / blocks), within: inside, across: across),
        [.input(0).texels(.r32f), .input(1), .output(0)], groups: .linear(count * cluster, perGroup: 64))
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    guard let dy = pullback.cotangents[0] else { return [nil, nil] }
    let backward = BlockModelBackward(blocks: blocks, inside: inside, across: across)
    return [try dy.graph.apply(backward, to: pullback.inputs + [dy])[0], nil]
  }

  func target(_ row: Int, _ column: Int, _ block: HostTensor) -> Double {
    Double(column / (block.data.count / blocks)) == block[row] ? Double(inside) : Double(across)
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (p, count) = (inputs[0], inputs[1].data.count)
    var y = HostTensor(zeros: TensorType([count]))
    for i in p.data.indices {
      let difference = p[i] - target(i / count, i % count, inputs[1])
      y[i / count] += difference * difference / Double(count * count)
    }
    return [y]
  }

  static let sizes = [(1, 1), (6, 3), (17, 1), (20, 4)]

  package static let cases = sizes.map { count, blocks in
    OpCase(
      "\(count) in \(blocks)", BlockModel(blocks: blocks, inside: 0.9, across: 0.2),
      [.init([count, count], .f32, .uniform(0, 1)), .init([count], .u32, .integers(below: blocks))])
  }
}

/// The gradient of `BlockModel`: (p, block, dy [U]) -> dp.
package struct BlockModelBackward: Op {
  package static let name = "block_model_backward"
  let blocks: Int
  let inside: Float
  let across: Float

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    let forward = BlockModel(blocks: blocks, inside: inside, across: across)
    guard try forward.infer(Array(inputs.prefix(2)))[0] == inputs[2] else { throw mismatch(inputs, "dy is not [U]") }
    return [inputs[0]]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let count = site.inputs[0].shape[0]
    return Launch([
      Dispatch(
        BlockModelBackwardKernel.self,
        push: .init(U: UInt32(count), size: UInt32(count / blocks), within: inside, across: across),
        [.input(0).texels(.r32f), .input(1), .input(2).texels(.r32f), .output(0)],
        groups: .linear(count * count, perGroup: 64))
    ])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (p, count) = (inputs[0], inputs[1].data.count)
    let forward = BlockModel(blocks: blocks, inside: inside, across: across)
    var dp = p
    for i in p.data.indices {
      let difference = p[i] - forward.target(i / count, i % count, inputs[1])
      dp[i] = 2 * inputs[2][i / count] * difference / Double(count * count)
    }
    return [dp]
  }

  package static let cases = BlockModel.sizes.map { count, blocks in
    OpCase(
      "\(count) in \(blocks)", BlockModelBackward(blocks: blocks, inside: 0.9, across: 0.2),
      [
        .init([count, count], .f32, .uniform(0, 1)), .init([count], .u32, .integers(below: blocks)), .init([count]),
      ], checksGradient: false)
  }
}

extension Value {
  /// Rows [U] that add up to the mean squared distance of a kernel [U, U] from the block model.
  package func blockModel(_ block: Value, blocks: Int, inside: Float, across: Float) throws(ShapeError) -> Value {
    try graph.apply(BlockModel(blocks: blocks, inside: inside, across: across), to: [self, block])[0]
  }
}
