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
      columns >= self.columns, rows >= shape.rows, depth >= self.depth
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

  /// The right operand, input 1, as the kernels read it: rows of N.
  struct Right {
    let operand: Operand
    let scratch: [TensorType]
    let before: [Dispatch]
  }

  /// `matrices` of [k, n] as they are, of [n, k] transposed into scratch 0; nil where the kernel cannot transpose these.
  static func right(
    _ transposing: Transposition, matrices: Int, n: Int, k: Int, _ traits: DeviceTraits
  ) -> Right? {
    guard transposing == .right else {
      return Right(operand: .input(1).texels(.r32f), scratch: [], before: [])
    }
    let lanes = traits.subgroupSize
    guard n % 8 == 0, n >= 32, k >= lanes else { return nil }
    let transpose = Dispatch(
      TransposeKernel.self, constants: .init(LANES: UInt32(lanes)), push: .init(R: Int32(n), C: Int32(k)),
      [.input(1).texels(.r32f), .scratch(0)],
      groups: GroupCount(((n + 31) / 32 * lanes + 63) / 64, (k + lanes - 1) / lanes, matrices))
    return Right(
      operand: .scratch(0).texels(.r32f), scratch: [TensorType([matrices, k, n])], before: [transpose])
  }
}
