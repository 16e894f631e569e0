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
  let columns: Int

  /// Products of a turn of the loop, in which the driver also chooses between each sum's old and new value.
  let depth: Int

  /// Nil where the driver loads by lanes in loops, or the tile is larger than C.
  /// - Parameter depth: Products of a sum, about.
  init?(_ shape: Shape, rows: Int, columns: Int, depth: Int, _ traits: DeviceTraits) {
    self.shape = shape
    lanes = traits.subgroupSize
    self.columns = min(shape.vectors * lanes, columns)
    self.depth =
      switch depth {
      case 384... where lanes > 8: 32
      case 16... where lanes > 8: 16
      default: min(depth, 8)
      }
    guard traits.loadsOnceInLoops, traits.discardsOutside, rows >= shape.rows,
      traits.broadcastsLanes || (columns % 8 == 0 && self.columns % 8 == 0)
    else { return nil }
  }

  /// The shapes to choose from, the default first: of two that would cut rows of `columns` alike one, and all of them where there are few.
  private static func shapes(rows: Int, columns: Int, _ traits: DeviceTraits) -> [Shape] {
    let wide = [Shape(rows: 6, vectors: 4), Shape(rows: 14, vectors: 2)]
    let narrow = [Shape(rows: 6, vectors: 2)]
    let all =
      switch (traits.longestLoop, traits.subgroupSize) {
      case (.instructions2000, ...8): narrow
      case (_, ...8): wide.reversed() + narrow
      default: wide + narrow
      }
    let wanted = all.filter { $0.vectors <= 2 || columns > 2 * traits.subgroupSize }
    return rows >= 6 ? wanted : wanted.prefix(1).map { Shape(rows: rows, vectors: $0.vectors) }
  }

  /// A variant for each shape and way to read that there is a `launch` for, the defaults first.
  /// - Parameter packings: Whether operands are read out of panels (`operands`).
  static func variants(
    rows: Int, columns: Int, packings: [Bool], _ traits: DeviceTraits, launch: (Shape, Bool) -> Launch?
  ) -> [Variant] {
    shapes(rows: rows, columns: columns, traits).flatMap { shape in
      packings.compactMap { packs in
        launch(shape, packs).map { Variant("addressed \(shape)" + (packs ? " packed" : ""), $0) }
      }
    }
  }

  func groups(rows: Int, columns: Int, _ z: Int) -> GroupCount {
    GroupCount((rows + shape.rows - 1) / shape.rows, (columns + self.columns - 1) / self.columns, z)
  }

  /// A product's left operand and right one, inputs 0 and 1, as the kernels read them.
  struct Operands {
    var left = Operand.input(0).texels(.r32f)
    var right = Operand.input(1).texels(.r32f)
    /// Columns of a panel of the left one, 0 where it is read as it lies.
    var leftPanel = 0
    var rightInPanels = false
    var scratch: [TensorType] = []
    var before: [Dispatch] = []
  }

  /// Rows of an operand that are input 3's numbers, divided.
  struct Gathering {
    let operand: Int
    let divisor: Int
  }

  /// `matrices` of op(A) [m, k] and B [k, n]. What is read down its columns goes into panels of them first where that `packs`, and a
  /// turned right operand always; nil where the kernel cannot.
  func operands(
    _ transposing: Transposition, packs: Bool, matrices: Int, m: Int, n: Int, k: Int, gathering: Gathering? = nil
  ) -> Operands? {
    var operands = Operands()
    // A matrix of one row or column is its own transpose.
    let turns = transposing == .right && min(n, k) > 1
    func pack(_ input: Int, columns: Int, width: Int, step: Int) -> Operand {
      let place = Operand.scratch(operands.scratch.count)
      let turned = input == 1 && turns
      let gathers = gathering?.operand == input
      let panels = (columns + step - 1) / step
      let depth = turned ? lanes : min(k, 16)
      operands.scratch.append(TensorType([matrices, panels, k, width]))
      operands.before.append(
        Dispatch(
          ColumnPanelsKernel.self,
          constants: .init(
            local_size_x: UInt32(lanes), TURNED: turned, GATHERED: gathers, WIDTH: UInt32(width),
            STEP: UInt32(step), DEPTH: Int32(depth), LANES: UInt32(lanes)),
          push: .init(N: Int32(columns), K: Int32(k), divisor: Int32(gathering?.divisor ?? 1)),
          [.input(input).texels(.r32f), place, gathers ? .input(3).texels(.r32ui) : .unused],
          groups: GroupCount(panels, (k + depth - 1) / depth, matrices)))
      return place.texels(.r32f)
    }
    if packs || turns {
      guard turns ? k >= lanes : columns % 8 == 0 else { return nil }
      operands.right = pack(1, columns: n, width: (columns + 7) / 8 * 8, step: columns)
      operands.rightInPanels = true
    }
    if packs && transposing == .left {
      operands.leftPanel = (shape.rows + 7) / 8 * 8
      guard m >= operands.leftPanel else { return nil }
      operands.left = pack(0, columns: m, width: operands.leftPanel, step: shape.rows)
    }
    return operands
  }
}
