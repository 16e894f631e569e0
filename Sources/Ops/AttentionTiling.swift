import GPU
import Graph

/// How a kernel of attention divides the tokens of each (b, h) among lanes, and its arguments (`include/attention.glsl`).
struct AttentionTiling: Sendable, Hashable {
  /// What the lanes own: queries in the forward kernel; in the gradient, queries or keys.
  enum Kernel { case forward, queries, keys }

  /// How lanes come by what streams past: each reads for itself; the lanes of a cluster share what they read; each half
  /// of a cluster shares one half of every row, also in the gradient with more code in a step; each lane of a cluster
  /// reads its own part of every row.
  enum Family: String, CaseIterable { case own, shared, halves, tall, parts }

  let family: Family

  /// Lanes that share what they read; 1 where each reads for itself.
  let cluster: UInt32
  let isWholeSubgroup: Bool
  let headDimension: Int32
  /// Tokens of a lane.
  let rows: Int32
  /// That a row is cut into.
  let parts: Int32
  /// Tokens that stream past in one step.
  let step: Int32
  let tokens: Int32
  let heads: Int32
  /// B * H.
  let pairs: Int32
  /// Per pair.
  let tiles: Int32
  let groups: GroupCount
  /// Where the kernels store by lanes, see `Dispatch`: not where little is stored, since they take twice as long to compile.
  let lanes: Int?

  var scale: Float { 1 / Float(headDimension).squareRoot() }

  /// The best tiling of each family that may be the fastest, the most promising first.
  static func candidates(_ kernel: Kernel, qkv: Shape, heads: Int, _ traits: DeviceTraits) -> [AttentionTiling] {
    let layout = AttentionLayout(qkv: qkv, heads: heads)
    let tiles = Family.allCases.compactMap { family in
      family.tiles(kernel, headDimension: layout.headDimension, traits)
        .max { $0.yield(layout.tokens) < $1.yield(layout.tokens) }
    }
    let best = tiles.map { $0.yield(layout.tokens) }.max() ?? 0
    return tiles.filter { $0.yield(layout.tokens) > 0.75 * best }
      .sorted { $0.yield(layout.tokens) > $1.yield(layout.tokens) }
      .map { AttentionTiling($0, kernel, layout, traits) }
  }

  private init(_ tile: Tile, _ kernel: Kernel, _ layout: AttentionLayout, _ traits: DeviceTraits) {
    family = tile.family
    cluster = UInt32(tile.cluster)
    isWholeSubgroup = tile.cluster == traits.subgroupSize
    headDimension = Int32(layout.headDimension)
    rows = Int32(tile.rows)
    parts = Int32(tile.parts)
    // A step should use all lanes of one read. The forward kernel rescales its sums in every step, so it takes two
    // tokens where the unrolled code still fits the instruction cache; so do tall queries.
    let vectors = (layout.headDimension + 3) / 4
    let mayPay = kernel == .forward || kernel == .queries && tile.family == .tall
    let pays = mayPay && traits.isSoftware && tile.cluster > 1 && vectors <= 16
    step = Int32(max(pays ? 2 : 1, tile.cluster / vectors))
    tokens = Int32(layout.tokens)
    heads = Int32(layout.heads)
    let count = tile.count(layout.tokens)
    tiles = Int32(count)
    pairs = Int32(layout.batch * layout.heads)
    let isWhole = layout.headDimension % 8 == 0 && vectors % (2 * tile.parts) == 0
    let elements = layout.batch * layout.tokens * layout.heads * layout.headDimension
    lanes =
      traits.storesWide && traits.discardsOutside && isWhole && tile.cluster > 1 && elements >= 1 << 15
      ? traits.subgroupSize : nil
    groups = .linear(layout.batch * layout.heads * count * tile.cluster, perGroup: 64)
  }

  fileprivate struct Tile {
    let family: Family
    let cluster: Int
    let parts: Int
    let rows: Int
    /// What streaming a token past a lane costs, in units of what a lane does with it for each of its rows.
    let streaming: Double

    func count(_ tokens: Int) -> Int { (tokens - 1) / (cluster / parts * rows) + 1 }

    /// The useful part of a lane's time: lanes past the last token waste theirs, and few rows spread streaming badly.
    func yield(_ tokens: Int) -> Double {
      let used = Double(tokens) / Double(count(tokens) * (cluster / parts) * rows)
      return used * Double(rows) / (Double(rows) + streaming)
    }
  }
}

extension AttentionTiling.Family {
  /// Tiles to choose from, measured on lavapipe: registers spill cheaply there, until the code of a step outgrows the
  /// instruction cache. A GPU has registers for parts of a few rows (docs/kernels.md).
  fileprivate func tiles(
    _ kernel: AttentionTiling.Kernel, headDimension: Int, _ traits: DeviceTraits
  ) -> [AttentionTiling.Tile] {
    let vectors = (headDimension + 3) / 4
    func tiles(cluster: Int, parts: Int, rows: Int, streaming: Double) -> [AttentionTiling.Tile] {
      (1...max(1, rows)).map { .init(family: self, cluster: cluster, parts: parts, rows: $0, streaming: streaming) }
    }
    guard traits.isSoftware == (self != .parts) else { return [] }
    switch self {
    case .parts:
      let lanes = traits.lanes(perRowOf: vectors, atLeast: 1)
      let most = kernel == .forward ? 4 : 2
      // Heads wider than two vectors per lane leave room for one row.
      let rows = vectors > 2 * lanes ? 1 : traits.hasLargeRegisterFile ? most : most / 2
      return tiles(cluster: lanes, parts: lanes, rows: rows, streaming: 1)
    case .own: return tiles(cluster: 1, parts: 1, rows: min(6, 24 / vectors), streaming: 4)
    case .shared:
      return tiles(cluster: traits.cluster, parts: 1, rows: min(3, kernel.vectors / vectors), streaming: 1)
    case .halves:
      // Shorter halves leave most of a read unused.
      guard headDimension % 8 == 0, headDimension >= 32 else { return [] }
      return tiles(cluster: traits.cluster, parts: 2, rows: min(6, 2 * kernel.vectors / vectors), streaming: 1)
    case .tall:
      guard kernel != .forward, headDimension % 8 == 0, headDimension >= 48 else { return [] }
      // 10 % faster on a Zen 5, which keeps more code decoded than a Zen 3; with 512 bits there is no older one.
      let streaming = kernel == .keys && traits.subgroupSize <= 8 ? 2.5 : 1
      return tiles(cluster: traits.cluster, parts: 2, rows: min(6, 80 / vectors), streaming: streaming)
    }
  }
}

extension AttentionTiling.Kernel {
  /// Vectors of its rows that a lane can own.
  fileprivate var vectors: Int {
    switch self {
    case .forward: 48
    case .queries: 40
    case .keys: 24
    }
  }
}
