import GPU
import Graph
import Kernels

/// The square of C that a workgroup of a GPU's matmul owns (`include/matmul_tiles.glsl`, `include/matmul_matrix.glsl`).
struct SharedTile: Sendable, Hashable {
  let size: Int
  /// How matrix units compute it, nil where they do not.
  var matrices: TileOfMatrices?

  var name: String { "\(matrices == nil ? "tiles" : "matrix") \(size)" }
  var invocations: Int { 2 * size }
  /// Two halves of eight rows of both operands, each row with a vector of padding; or see there.
  private var sharedBytes: Int { matrices?.sharedBytes(size) ?? 2 * 2 * 8 * (size / 4 + 1) * 16 }

  func count(_ extent: Int) -> Int { (extent + size - 1) / size }

  /// Workgroups that keep a large GPU busy.
  static let manyGroups = 256

  /// The tiles that the device can run, those of its matrix units first; of either the default first: the largest that wastes little at
  /// the edges and, with K cut into chunks of 256, leaves work for all of the device. Registers per invocation: 16, 32 or 64 sums,
  /// docs/kernels.md.
  /// - Parameter depth: products that may be cut into chunks.
  static func candidates(m: Int, n: Int, batch: Int, depth: Int, _ traits: DeviceTraits) -> [SharedTile] {
    func ordered(_ tiles: [SharedTile]) -> [SharedTile] {
      let fitting = tiles.filter {
        $0.sharedBytes <= traits.sharedMemoryBytes && $0.invocations <= traits.maxWorkgroupInvocations
          && ($0.size < 128 || traits.hasLargeRegisterFile)
      }
      func padded(_ size: Int) -> Int {
        SharedTile(size: size).count(m) * SharedTile(size: size).count(n) * size * size
      }
      let preferred = fitting.first { tile in
        let groups = tile.count(m) * tile.count(n) * batch * max(1, depth / 256)
        return groups >= manyGroups / 2 && 4 * padded(tile.size) <= 5 * padded(32)
      }
      let first = preferred ?? fitting.last
      return (first.map { [$0] } ?? []) + fitting.filter { $0 != first }
    }
    let sizes = [128, 64, 32]
    let plain = ordered(sizes.map { SharedTile(size: $0) })
    let matrices = sizes.compactMap { size in
      TileOfMatrices(size, traits).map { SharedTile(size: size, matrices: $0) }
    }
    // Where not even the smallest fits, it is offered all the same, and the plan says which limit it breaks.
    return ordered(matrices) + (plain.isEmpty ? [SharedTile(size: 32)] : plain)
  }
}

/// How a workgroup's subgroups share a tile, in matrices of the units' size.
struct TileOfMatrices: Sendable, Hashable {
  let unit: MatrixUnit
  let subgroups: Int
  let subgroupsAlongN: Int

  /// As near to squares as they come; nil where the device has no matrix units, or more subgroups than the tile has matrices.
  init?(_ size: Int, _ traits: DeviceTraits) {
    guard let unit = traits.matrixUnit else { return nil }
    let subgroups = 2 * size / traits.subgroupSize
    let (rows, columns) = (size / unit.m, size / unit.n)
    let along = (1...max(1, subgroups)).filter { along in
      let across = max(1, subgroups / along)
      return subgroups % along == 0 && columns >= along && columns % along == 0 && rows >= across && rows % across == 0
    }
    func perimeter(_ along: Int) -> Int { rows * along * unit.m / subgroups + columns / along * unit.n }
    guard subgroups > 0, let best = along.min(by: { perimeter($0) < perimeter($1) }) else { return nil }
    (self.unit, self.subgroups, subgroupsAlongN) = (unit, subgroups, best)
  }

  /// 32 f16 of each row of both operands with eight of padding, and a matrix of sums of each subgroup.
  func sharedBytes(_ size: Int) -> Int { 2 * size * 40 * 2 + subgroups * unit.m * unit.n * 4 }
}

extension Matmul {
  /// The GPU's launches: tiles in shared memory, of several sizes, by matrix units first where it has them and may use them.
  func tiled(_ site: LaunchSite) -> [Variant] {
    let size = MatmulSize(site.inputs[0].shape, site.inputs[1].shape, transposing, batched: batched)
    return SharedTile.candidates(m: size.m, n: size.n, batch: size.batch, depth: size.k, site.traits).map {
      Variant($0.name, launch(size, $0), roundsFactors: $0.matrices != nil)
    }
  }

  private func launch(_ size: MatmulSize, _ tile: SharedTile) -> Launch {
    let chunks = size.chunks(wanted: SharedTile.manyGroups / (size.batch * tile.count(size.m) * tile.count(size.n)))
    return summed(size, chunks) { product(size, chunks, tile, $0, $1) }
  }

  private func product(
    _ size: MatmulSize, _ chunks: MatmulSize.Chunks, _ tile: SharedTile, _ epilogue: Epilogue, _ finish: [Operand]
  ) -> Dispatch {
    let (a, b) = size.contiguous(transposing)
    let push = MatmulTilesKernel.Push(
      M: Int32(size.m), N: Int32(size.n), K: Int32(size.k), chunks: Int32(chunks.count), chunk: Int32(chunks.extent))
    let operands = finish + [.input(0), .input(1)]
    let groups = GroupCount(tile.count(size.n), tile.count(size.m), size.batch * chunks.count)
    if let matrices = tile.matrices {
      return Dispatch(
        MatmulMatrixKernel.self,
        constants: .init(
          local_size_x: UInt32(tile.invocations), SIZE: Int32(tile.size), MATRIX_M: Int32(matrices.unit.m),
          MATRIX_N: Int32(matrices.unit.n), MATRIX_K: Int32(matrices.unit.k), FORM: transposing.rawValue,
          ALIGNED_A: a % 4 == 0, ALIGNED_B: b % 4 == 0, SUBGROUPS: Int32(matrices.subgroups),
          SUBGROUPS_N: Int32(matrices.subgroupsAlongN), SCALED: cotangent.rawValue, ALIGNED_C: size.n % 4 == 0,
          HAS_BIAS: epilogue.bias, STORES_PRE: epilogue.keepsPre, ACTIVATION: epilogue.activation.rawValue,
          HAS_RESIDUAL: epilogue.residual),
        push: .init(M: push.M, N: push.N, K: push.K, chunks: push.chunks, chunk: push.chunk), operands, groups: groups)
    }
    return Dispatch(
      MatmulTilesKernel.self,
      constants: .init(
        local_size_x: UInt32(tile.invocations), SIZE: Int32(tile.size), FORM: transposing.rawValue,
        ALIGNED_A: a % 4 == 0, ALIGNED_B: b % 4 == 0, ALIGNED_C: size.n % 4 == 0, HAS_BIAS: epilogue.bias,
        STORES_PRE: epilogue.keepsPre, ACTIVATION: epilogue.activation.rawValue, HAS_RESIDUAL: epilogue.residual),
      push: push, operands, groups: groups)
  }
}

extension GroupedMatmul {
  /// The GPU's launches, as `Matmul.tiled`.
  func tiled(_ site: LaunchSite) -> [Variant] {
    let (a, b, c) = (site.inputs[0].shape, site.inputs[1].shape, site.outputs[0].shape)
    let (experts, slots) = (site.inputs[2].count - 1, site.inputs[3].count)
    let source = gathered == .right ? b : a
    // As if all experts got the same number of rows.
    let (m, batch) = transposing == .left ? (a.last, experts) : ((slots + experts - 1) / experts, experts)
    return SharedTile.candidates(m: m, n: c.last, batch: batch, depth: 1, site.traits).map { tile in
      // Each expert may end in a tile of its own that is not full.
      let groups =
        transposing == .left
        ? GroupCount(tile.count(c.last), tile.count(a.last), experts)
        : GroupCount(tile.count(c.last), tile.count(slots) + experts)
      let push = GroupedTilesKernel.Push(
        M: Int32(a.last), N: Int32(c.last), K: Int32(a.last), experts: Int32(experts),
        divisor: Int32(gathered == .neither ? 1 : slots / source.rows))
      let operands =
        epilogue.operands(first: 5, columns: c.last)
        + [.input(0), .input(1), .input(2).texels(.r32ui), .input(3).texels(.r32ui)]
      let dispatch =
        if let matrices = tile.matrices {
          Dispatch(
            GroupedMatrixKernel.self,
            constants: .init(
              local_size_x: UInt32(tile.invocations), SIZE: Int32(tile.size), MATRIX_M: Int32(matrices.unit.m),
              MATRIX_N: Int32(matrices.unit.n), MATRIX_K: Int32(matrices.unit.k), FORM: transposing.rawValue,
              ALIGNED_A: a.last % 4 == 0, ALIGNED_B: b.last % 4 == 0, GATHERED: gathered.rawValue,
              SUBGROUPS: Int32(matrices.subgroups), SUBGROUPS_N: Int32(matrices.subgroupsAlongN),
              SCALED: cotangent.rawValue, ALIGNED_C: c.last % 4 == 0, HAS_BIAS: epilogue.bias,
              STORES_PRE: epilogue.keepsPre, ACTIVATION: epilogue.activation.rawValue, HAS_RESIDUAL: epilogue.residual),
            push: .init(M: push.M, N: push.N, K: push.K, experts: push.experts, divisor: push.divisor), operands,
            groups: groups)
        } else {
          Dispatch(
            GroupedTilesKernel.self,
            constants: .init(
              local_size_x: UInt32(tile.invocations), SIZE: Int32(tile.size), FORM: transposing.rawValue,
              ALIGNED_A: a.last % 4 == 0, ALIGNED_B: b.last % 4 == 0, GATHERED: gathered.rawValue,
              ALIGNED_C: c.last % 4 == 0, HAS_BIAS: epilogue.bias, STORES_PRE: epilogue.keepsPre,
              ACTIVATION: epilogue.activation.rawValue, HAS_RESIDUAL: epilogue.residual),
            push: push, operands, groups: groups)
        }
      return Variant(tile.name, Launch([dispatch]), roundsFactors: tile.matrices != nil)
    }
  }
}
