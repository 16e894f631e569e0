import GPU
import Graph
import Kernels

/// The ways to launch a product; docs/matmul.md compares them.
extension Matmul {
  /// `lanes` and `panels` want a software driver and texel views as long as the operands; `tiles` runs everywhere.
  package func variants(_ site: LaunchSite) -> [Variant] {
    let size = MatmulSize(site.inputs[0].shape, site.inputs[1].shape, transposing, batched: batched)
    guard site.traits.isSoftware else { return tiled(site) }
    // The matrices of a batch are small and read few times.
    let packings: [PanelTile.Packing] =
      size.batch > 1 ? [.neither] : suitsInPlace(size, site.traits) ? [.neither, .right] : [.both, .right]
    let addressed = AddressedTile.variants(
      rows: size.m, columns: size.n, packings: addressedPackings(size), site.traits
    ) {
      self.addressed(size, $0, packs: $1, site.traits)
    }
    let candidates =
      addressed.map { (true, $0) }
      + packings.flatMap { packing in
        PanelTile.heights(site.traits).filter { $0 <= 16 || size.m > 16 }.compactMap { rows in
          panels(size, packing, rows, site.traits).map {
            (pays(packing, size), Variant("\(packing.rawValue) \(rows)", $0))
          }
        }
      } + [(false, Variant("lanes", lanes(size, site.traits)))]
    let fitting = candidates.filter { $0.1.launch.misfit(at: site) == nil }
    let ordered = fitting.filter(\.0) + fitting.filter { !$0.0 }.reversed()
    return ordered.isEmpty ? tiled(site) : ordered.map(\.1) + tiled(site).filter(\.roundsFactors)
  }

  /// Whether the right operand may well be read as it lies: few rows are multiplied with it, or it is small and its rows do not all
  /// want the same lines of the first-level cache, which only the four rows that 8 lanes read across bear.
  private func suitsInPlace(_ size: MatmulSize, _ traits: DeviceTraits) -> Bool {
    let rowBytes = 4 * (transposing == .right ? size.k : size.n)
    let apart = rowBytes % 512 != 0 || transposing == .none && traits.subgroupSize <= 8
    return transposing != .left && size.m >= 8 && (isShort(size) || size.n * size.k <= 1 << 18 && apart)
  }

  /// Whether laying out the right operand costs about what the product does.
  private func isShort(_ size: MatmulSize) -> Bool { size.batch == 1 && size.m < 256 }

  /// The default rule (docs/matmul.md): packing an operand is one pass over it, against one per tile along the other; and a
  /// dispatch of its own, which small products do not earn back.
  private func pays(_ packing: PanelTile.Packing, _ size: MatmulSize) -> Bool {
    switch packing {
    case .both: transposing == .left ? size.m * size.n >= 1 << 17 : size.n >= 512 && size.m >= 1024
    case .right: size.m >= 256 && size.m * size.n * size.k >= 1 << 22
    case .neither: size.batch > 1 ? size.m >= 32 : size.m * size.n * size.k >= 1 << 19
    }
  }

  private func panels(
    _ size: MatmulSize, _ packing: PanelTile.Packing, _ rows: Int, _ traits: DeviceTraits
  ) -> Launch? {
    guard let tile = PanelTile(rows: rows, columns: size.n, traits: traits),
      packing == .both || transposing != .left && size.k % 4 == 0, packing == .neither || tile.packs(k: size.k),
      epilogue.activation == .none || !epilogue.residual
    else { return nil }
    let quads = (size.k + 3) / 4
    let tiles = tile.groups(rows: size.m, columns: size.n, chunks: 1)
    let count = size.batch * tiles.x * tiles.y
    let chunks = size.chunks(wanted: packing == .neither && isShort(size) ? (7 + count) / count : 4 / count)
    var scratch: [TensorType] = []
    var packs: [Dispatch] = []
    func packed(_ operand: Int, count: Int, alongK: Bool, isRight: Bool) -> Operand {
      let place = Operand.scratch(scratch.count)
      scratch.append(tile.packed(matrices: size.batch, count, quads: quads, isRight: isRight))
      packs.append(
        tile.pack(
          .input(operand), to: place, matrices: size.batch, count: count, k: size.k, alongK: alongK, isRight: isRight))
      return place
    }
    let b =
      packing == .neither
      ? Operand.input(1) : packed(1, count: size.n, alongK: transposing == .right, isRight: true)
    let a = packing == .both ? packed(0, count: size.m, alongK: transposing != .left, isRight: false) : .input(0)
    let orders = packing.orders(transposing)
    let byLanes = tile.storesByLanes(elements: size.batch * size.m * size.n, products: chunks.extent)
    return summed(size, chunks, scratch: scratch, before: packs, activating: traits) { epilogue, finish in
      Dispatch(
        MatmulPanelsKernel.self,
        constants: .init(
          local_size_x: UInt32(tile.lanes), CLUSTER: UInt32(tile.lanes), A_ORDER: orders.left,
          B_ORDER: orders.right, ROWS: Int32(tile.rows), AT_ONCE: tile.rowsAtOnce,
          BY_LANES: byLanes, VECTORS: UInt32(tile.vectors), ALIGNED_C: true,
          HAS_BIAS: epilogue.bias, STORES_PRE: epilogue.keepsPre, HAS_RESIDUAL: epilogue.residual),
        push: .init(
          M: Int32(size.m), N: Int32(size.n), K4: Int32(quads), chunk4: Int32(chunks.extent / 4),
          chunks: Int32(chunks.count)),
        finish + [a.texels(.rgba32f), b.texels(.rgba32f)],
        groups: tile.groups(rows: size.m, columns: size.n, chunks: size.batch * chunks.count),
        lanes: tile.lanes(byLanes: byLanes))
    }
  }

  /// Whether to read operands out of panels, the default first.
  private func addressedPackings(_ size: MatmulSize) -> [Bool] {
    switch transposing {
    case .right: return [false]
    case _ where size.batch > 1 || size.m < 64: return [false]
    case .none: return size.n >= 512 && size.m >= 256 ? [true, false] : [false, true]
    case .left: return size.m * size.n >= 1 << 18 ? [true, false] : [false, true]
    }
  }

  private func addressed(
    _ size: MatmulSize, _ shape: AddressedTile.Shape, packs: Bool, _ traits: DeviceTraits
  ) -> Launch? {
    guard let tile = AddressedTile(shape, rows: size.m, columns: size.n, depth: size.k, traits),
      let read = tile.operands(transposing, packs: packs, matrices: size.batch, m: size.m, n: size.n, k: size.k),
      epilogue.activation == .none || !epilogue.residual
    else { return nil }
    let tiles = tile.groups(rows: size.m, columns: size.n, 1)
    let count = size.batch * tiles.x * tiles.y
    let chunks = size.chunks(wanted: isShort(size) ? (7 + count) / count : 4 / count)
    return summed(size, chunks, scratch: read.scratch, before: read.before, activating: traits) { epilogue, finish in
      Dispatch(
        MatmulAddressedKernel.self,
        constants: .init(
          local_size_x: UInt32(tile.lanes), ACROSS: transposing == .left, ROWS: Int32(shape.rows),
          WIDTH: Int32(tile.columns), DEPTH: Int32(tile.depth), A_PANEL: Int32(read.leftPanel),
          B_PANELS: read.rightInPanels, HAS_BIAS: epilogue.bias, STORES_PRE: epilogue.keepsPre,
          HAS_RESIDUAL: epilogue.residual, LANES: UInt32(tile.lanes)),
        push: .init(
          M: Int32(size.m), N: Int32(size.n), K: Int32(size.k), extent: Int32(chunks.extent),
          chunks: Int32(chunks.count)),
        finish + [read.left, read.right],
        groups: tile.groups(rows: size.m, columns: size.n, size.batch * chunks.count))
    }
  }

  private func lanes(_ size: MatmulSize, _ traits: DeviceTraits) -> Launch {
    let (aLength, bLength) = size.contiguous(transposing)
    let tile = size.tile(transposing, traits)
    let (rowTiles, columnTiles) = (tile.rowTiles(size.m), tile.columnTiles(size.n))
    let chunks = size.chunks(wanted: 4 / (size.batch * rowTiles * columnTiles))
    return summed(size, chunks) { epilogue, finish in
      Dispatch(
        MatmulLanesKernel.self,
        constants: .init(
          local_size_x: UInt32(tile.localSize), CLUSTER: UInt32(tile.cluster), WHOLE_SUBGROUP: tile.wholeSubgroup,
          ROWS: UInt32(tile.rows), VECTORS: UInt32(tile.vectors), FORM: transposing.rawValue,
          ALIGNED_A: aLength % 4 == 0, ALIGNED_B: bLength % 4 == 0, ALIGNED_C: size.n % 4 == 0,
          HAS_BIAS: epilogue.bias, STORES_PRE: epilogue.keepsPre, ACTIVATION: epilogue.activation.rawValue,
          HAS_RESIDUAL: epilogue.residual),
        push: .init(
          M: Int32(size.m), N: Int32(size.n), K: Int32(size.k), chunks: Int32(chunks.count),
          chunk: Int32(chunks.extent)),
        finish + [.input(0).texels(rowsOf: aLength), .input(1).texels(rowsOf: bLength)],
        groups: tile.groups(rowTiles: rowTiles, columns: size.n, size.batch * chunks.count))
    }
  }

  /// `product` with our epilogue where K is one chunk; else without one into partial results, which are added behind it.
  /// - Parameter activating: set where the kernel has no activation.
  func summed(
    _ size: MatmulSize, _ chunks: MatmulSize.Chunks, scratch: [TensorType] = [], before: [Dispatch] = [],
    activating traits: DeviceTraits? = nil, _ product: (Epilogue, [Operand]) -> Dispatch
  ) -> Launch {
    let finish = epilogue.operands(first: 2, columns: size.n)
    guard chunks.count > 1 else {
      guard let traits else { return Launch(scratch: scratch, before + [product(epilogue, finish)]) }
      let c = TensorType([size.batch * size.m, size.n])
      let end = epilogue.finish(first: 2, c: c, scratch: scratch.count, traits)
      return Launch(scratch: scratch + end.scratch, before + [product(end.epilogue, end.operands)] + end.pass)
    }
    let partial = Operand.scratch(scratch.count)
    let rows = size.batch * size.m
    return Launch(
      scratch: scratch + [TensorType([size.batch, chunks.count, size.m, size.n])],
      before + [
        product(Epilogue(), Epilogue().operands(first: 2, columns: size.n, c: partial)),
        Dispatch(
          SumPartialsKernel.self,
          constants: .init(
            ALIGNED_C: size.n % 4 == 0, HAS_BIAS: epilogue.bias, STORES_PRE: epilogue.keepsPre,
            ACTIVATION: epilogue.activation.rawValue, HAS_RESIDUAL: epilogue.residual),
          push: .init(rows: Int32(rows), M: Int32(size.m), N: Int32(size.n), chunks: Int32(chunks.count)),
          finish + [partial.texels(rowsOf: size.n)], groups: GroupCount((size.n + 31) / 32, (rows + 7) / 8)),
      ])
  }
}
