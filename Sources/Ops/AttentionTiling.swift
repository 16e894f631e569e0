import GPU
import Graph

/// How a kernel of attention divides the tokens of each (b, h) among lanes, and its arguments (`include/attention.glsl`).
struct AttentionTiling: Sendable, Hashable {
  /// What the lanes own: queries in the forward kernel; in the gradient, queries or keys.
  enum Kernel { case forward, queries, keys }

  /// Lanes that share what they read; 1 where each reads for itself.
  let cluster: UInt32
  let isWholeSubgroup: Bool
  let headDimension: Int32
  /// Tokens of a lane.
  let rows: Int32
  /// Tokens that stream past in one step.
  let step: Int32
  let tokens: Int32
  let heads: Int32
  /// B * H.
  let pairs: Int32
  /// Per pair.
  let tiles: Int32
  let groups: GroupCount

  var scale: Float { 1 / Float(headDimension).squareRoot() }

  init(_ kernel: Kernel, qkv: Shape, heads: Int, _ traits: DeviceTraits) {
    let layout = AttentionLayout(qkv: qkv, heads: heads)
    let vectors = (layout.headDimension + 3) / 4
    let tile = Self.tiles(kernel, tokens: layout.tokens, vectors: vectors, traits)
      .max { $0.yield(layout.tokens) < $1.yield(layout.tokens) }
    guard let tile else { preconditionFailure("no tile") }
    cluster = UInt32(tile.cluster)
    isWholeSubgroup = tile.cluster == traits.subgroupSize
    headDimension = Int32(layout.headDimension)
    rows = Int32(tile.rows)
    // A step should use all lanes of one read. The forward kernel rescales its sums in every step, so it takes two
    // tokens where the unrolled code still fits the instruction cache.
    let pays = kernel == .forward && traits.isSoftware && tile.cluster > 1 && vectors <= 16
    step = Int32(max(pays ? 2 : 1, tile.cluster / vectors))
    tokens = Int32(layout.tokens)
    self.heads = Int32(heads)
    let count = tile.count(layout.tokens)
    tiles = Int32(count)
    pairs = Int32(layout.batch * heads)
    groups = .linear(layout.batch * heads * count * tile.cluster, perGroup: 64)
  }

  private struct Tile {
    let cluster: Int
    let rows: Int
    /// What streaming a token past a lane costs, in units of what a lane does with it for each of its rows.
    let streaming: Double

    func count(_ tokens: Int) -> Int { (tokens - 1) / (cluster * rows) + 1 }

    /// The useful part of a lane's time: lanes past the last token waste theirs, and few rows spread streaming badly.
    func yield(_ tokens: Int) -> Double {
      let used = Double(tokens) / Double(count(tokens) * cluster * rows)
      return used * Double(rows) / (Double(rows) + streaming)
    }
  }

  /// Tiles to choose from, measured on lavapipe: registers spill cheaply there, until the code of a step outgrows the
  /// instruction cache. A GPU has registers for one row.
  private static func tiles(_ kernel: Kernel, tokens: Int, vectors: Int, _ traits: DeviceTraits) -> [Tile] {
    guard traits.isSoftware else { return [Tile(cluster: traits.cluster, rows: 1, streaming: 1)] }
    let budget =
      switch kernel {
      case .forward: 48
      case .queries: 32
      case .keys: 16
      }
    let shared = (1...max(1, min(3, budget / vectors))).map { Tile(cluster: traits.cluster, rows: $0, streaming: 1) }
    let own = (1...max(1, min(6, 24 / vectors))).map { Tile(cluster: 1, rows: $0, streaming: 4) }
    return shared + own
  }
}

/// How the forward kernel works by products of tiles (`attention_tiles.comp`): for a CPU driver, many tokens and heads of
/// one or two vectors for each lane.
struct AttentionTiles: Sendable {
  /// Queries of a cluster.
  static let rows = 16

  let layout: AttentionLayout
  let cluster: Int
  let isWholeSubgroup: Bool
  /// Keys of a lane in one tile.
  let keys: Int
  /// Tiles of queries for each (b, h).
  let count: Int
  let groups: GroupCount

  init?(qkv: Shape, heads: Int, _ traits: DeviceTraits) {
    layout = AttentionLayout(qkv: qkv, heads: heads)
    cluster = traits.cluster
    let vectors = layout.headDimension / 4
    guard traits.isSoftware, layout.headDimension % (4 * cluster) == 0, vectors <= 2 * cluster, layout.tokens > 32
    else {
      return nil
    }
    isWholeSubgroup = cluster == traits.subgroupSize
    // Keys past the last cost as much as others; reading the queries for a tile costs about as much as a key for each
    // lane.
    let blocks = (layout.tokens - 1) / cluster + 1
    func cost(_ keys: Int) -> Int { ((blocks - 1) / keys + 1) * (keys + 1) }
    keys = (3...6).min { cost($0) < cost($1) } ?? 3
    count = (layout.tokens - 1) / Self.rows + 1
    groups = .linear(layout.batch * heads * count * cluster, perGroup: 64)
  }
}
