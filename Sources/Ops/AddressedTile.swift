import GPU
import Graph
import Kernels

/// How the `addressed` kernels cut C: a tile of rows x columns a subgroup, over operands that are read as they lie
/// (`include/addressed_tile.glsl`).
struct AddressedTile {
  /// Sums, a row of B and a number of A fill a processor's vector registers, 16 or 32.
  struct Shape: CustomStringConvertible {
    let rows: Int
    let vectors: Int
    var description: String { "\(rows)x\(vectors)" }
  }

  let shape: Shape
  let lanes: Int

  /// Products of a turn of the loop, in which the driver also chooses between each sum's old and new value.
  let depth: Int

  /// Nil where the driver loads by lanes in loops, or the tile is larger than C.
  init?(_ shape: Shape, rows: Int, columns: Int, depth: Int, _ traits: DeviceTraits) {
    self.shape = shape
    lanes = traits.subgroupSize
    self.depth = lanes > 8 ? 16 : 8
    guard traits.loadsOnceInLoops, traits.discardsOutside, columns % 8 == 0, self.columns % 8 == 0,
      columns >= self.columns,
      rows >= shape.rows, depth >= self.depth
    else { return nil }
  }

  /// The shapes to choose from, the default first.
  static func shapes(_ traits: DeviceTraits) -> [Shape] {
    let wide = [Shape(rows: 6, vectors: 4), Shape(rows: 14, vectors: 2)]
    let narrow = [Shape(rows: 6, vectors: 2)]
    switch (traits.longestLoop, traits.subgroupSize) {
    case (.instructions2000, ...8): return narrow
    case (_, ...8): return wide.reversed() + narrow
    default: return wide + narrow
    }
  }

  var columns: Int { shape.vectors * lanes }

  func groups(rows: Int, columns: Int, _ z: Int) -> GroupCount {
    GroupCount((rows + shape.rows - 1) / shape.rows, (columns + self.columns - 1) / self.columns, z)
  }

  /// Whether `transposing` can lay the right operand out.
  static func transposes(rows: Int, columns: Int, _ traits: DeviceTraits) -> Bool {
    rows % 8 == 0 && rows >= 32 && columns >= traits.subgroupSize
  }

  /// `matrices` of [rows, columns] as [columns, rows].
  static func transposing(
    _ source: Operand, to turned: Operand, matrices: Int, rows: Int, columns: Int, _ traits: DeviceTraits
  ) -> Dispatch {
    let lanes = traits.subgroupSize
    return Dispatch(
      TransposeKernel.self, constants: .init(LANES: UInt32(lanes)), push: .init(R: Int32(rows), C: Int32(columns)),
      [source.texels(.r32f), turned],
      groups: GroupCount(
        ((rows + 31) / 32 * lanes + 63) / 64, (columns + lanes - 1) / lanes, matrices))
  }
}
