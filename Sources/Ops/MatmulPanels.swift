import GPU
import Graph
import Kernels

/// How `matmul_panels` cuts a product: operands are laid out first (`pack_panels`), panel by panel, in the order in which
/// one subgroup per tile of C reads them.
struct PanelTile {
  let rows: Int
  let lanes: Int
  /// Vectors of columns per lane, one or two.
  let vectors: Int
  /// Rows that a read of the right operand serves: with two fewer loads, with one fewer instructions. On a core that another thread
  /// shares (Zen 3) one is the faster, on Zen 4 and 5 two (docs/matmul.md).
  let rowsAtOnce: Int32
  /// Whether rows of C are whole spans, and lane stores past them are discarded.
  private let canStoreByLanes: Bool

  /// nil where the driver is no software driver, has no 64-bit integers (to lay operands out), or its subgroups are larger than the
  /// tile is high; and where rows of C are no whole vectors, or shorter than half a tile.
  /// - Parameter rows: a multiple of four.
  init?(rows: Int, columns: Int, traits: DeviceTraits) {
    self.rows = rows
    lanes = traits.subgroupSize
    rowsAtOnce = traits.longestLoop == .instructions2000 ? 1 : 2
    // Where lanes get what another one has by broadcasts, products by address are seven times as fast.
    guard traits.storesWide, !traits.broadcastsLanes, (4...rows).contains(lanes), columns % 4 == 0 else {
      return nil
    }
    canStoreByLanes = traits.discardsOutside && columns % 8 == 0
    // Eight columns are faster, unless the last tile wastes what that gains (docs/matmul.md).
    func padded(_ columnsPerLane: Int) -> Int {
      let width = columnsPerLane * traits.subgroupSize
      return (columns + width - 1) / width * width
    }
    vectors = columns % 8 == 0 && columns > 4 * lanes && 100 * padded(8) <= 115 * padded(4) ? 2 : 1
    guard vectors == 2 || columns > 2 * lanes else { return nil }
  }

  /// The heights to choose from, the default first: with the tallest tile whose loop stays decoded.
  static func heights(_ traits: DeviceTraits) -> [Int] {
    switch traits.longestLoop {
    case .instructions2000: [16, 32]
    // With vectors of 512 bits tiles of 28 rows were no faster.
    case .instructions3600: traits.subgroupSize > 8 ? [32, 16] : [28, 16]
    case .instructions4000: [32, 16]
    }
  }

  var columns: Int { 4 * vectors * lanes }

  /// Which operands are laid out before the product; the raw value names the variant.
  enum Packing: String {
    case both = "panels"
    case right = "right panels"
    case neither = "in place"

    /// The kernels' A_ORDER and B_ORDER (`include/matmul_panels.glsl`): 0 packed, 1 along k, 2 across it.
    func orders(_ form: Transposition) -> (left: UInt32, right: UInt32) {
      (self == .both ? 0 : 1, self != .neither ? 0 : form == .right ? 1 : 2)
    }
  }

  /// A packed operand: `matrices` of `count` rows (of A) or columns (of B), each of `quads` vectors of four products.
  func packed(matrices: Int = 1, _ count: Int, quads: Int, isRight: Bool) -> TensorType {
    let width = isRight ? columns : rows
    return TensorType([matrices, (count + width - 1) / width, quads, width, 4])
  }

  /// Lays out `source`: `matrices`, each [count, k] in memory if `alongK`, else [k, count].
  func pack(
    _ source: Operand, to packed: Operand, matrices: Int = 1, count: Int, k: Int, alongK: Bool, isRight: Bool
  ) -> Dispatch {
    let (width, quads) = (isRight ? columns : rows, (k + 3) / 4)
    let length = alongK ? k : count
    return Dispatch(
      PackPanelsKernel.self,
      constants: .init(
        ALONG_K: alongK, ALIGNED: length % 4 == 0, WIDTH: Int32(width), RIGHT: isRight, LANES: UInt32(lanes)),
      push: .init(R: Int32(count), K: Int32(k), K4: Int32(quads)),
      [source.texels(rowsOf: length), packed],
      groups: packingGroups(matrices: matrices, count, quads: quads, alongK: alongK, isRight: isRight))
  }

  /// One subgroup a part of a panel, workgroups of 64.
  func packingGroups(matrices: Int = 1, _ count: Int, quads: Int, alongK: Bool, isRight: Bool) -> GroupCount {
    let width = isRight ? columns : rows
    // Vectors of a subgroup: two a span, of what is turned two spans a lane, four of right operands.
    let share = alongK ? 2 * Dispatch.wideShare : (isRight ? 8 : 4) * lanes
    let parts = GroupCount.linear(width * quads, perGroup: 64 / lanes * share).x
    return GroupCount(parts, (count + width - 1) / width, matrices)
  }

  /// Whether the tiles of a C of `elements`, each a sum of `products`, leave by lane stores. A kernel with these takes four times as
  /// long to compile with 512 bits; with 256 it takes twice as long, and what it saves shows in short sums only.
  func storesByLanes(elements: Int, products: Int) -> Bool {
    canStoreByLanes && elements >= 1 << 16 && (lanes > 8 || products <= 256)
  }

  /// `Dispatch`'s lanes: the kernels' wide form, where a lane has a span or stores by lanes.
  func lanes(byLanes: Bool) -> Int? { byLanes || vectors == 2 ? lanes : nil }

  /// Whether a packed operand's panels are as long as what a subgroup stores.
  func packs(k: Int) -> Bool { (k + 3) / 4 * rows >= 2 * Dispatch.wideShare && k > 4 }

  func groups(rows: Int, columns: Int, chunks: Int) -> GroupCount {
    GroupCount((rows + self.rows - 1) / self.rows, (columns + self.columns - 1) / self.columns, chunks)
  }
}
