import GPU
import Graph
import Kernels

/// A parameter block in pieces that a device can bind, one as a rule, and the norm of its gradients: what optimisers share.
struct BlockPieces {
  /// What one dispatch covers, with the sums of squares that it leaves.
  private struct Piece {
    let elements: Range<Int>
    let vectorsPerLane: Int
    let groups: Int
    let firstPartial: Int
  }

  private let pieces: [Piece]
  private let cluster: Int
  /// Set for the wide form of the norm, see `Dispatch`.
  private let lanes: Int?
  private let partialCount: Int

  /// - Parameter count: elements of the block, a multiple of 64.
  init(_ count: Int, _ traits: DeviceTraits) {
    lanes = traits.storesWide ? traits.subgroupSize : nil
    cluster = lanes ?? traits.cluster
    let bindable = traits.maxStorageBufferRange / 4
    // A grid that wraps into y has groups past the end, which would update the last elements twice.
    let mostGroups = min(DeviceTraits.guaranteedGroups, Dispatch.wideParts * traits.subgroupSize / 64)
    let wrapping = traits.storesWide ? mostGroups / (Self.unit / Dispatch.wideGroup(traits)) : .max
    let longest = max(1, min(bindable / Self.unit, wrapping)) * Self.unit
    var pieces: [Piece] = []
    var partials = 0
    for first in stride(from: 0, to: count, by: longest) {
      let vectors = min(longest, count - first) / 4
      // At most 1,024 groups, so that few partial sums are left for the last, single group; in the wide form 256 vectors a subgroup.
      let vectorsPerLane = lanes.map { 256 / $0 } ?? max(16, (vectors + 64 * 1024 - 1) / (64 * 1024))
      let groups = (vectors + 64 * vectorsPerLane - 1) / (64 * vectorsPerLane)
      pieces.append(
        Piece(
          elements: first..<first + 4 * vectors, vectorsPerLane: vectorsPerLane, groups: groups,
          firstPartial: partials))
      partials += groups * 64 / cluster
    }
    self.pieces = pieces
    partialCount = partials
  }

  /// An elementwise kernel over the block, with `operands` of some of its elements. Where it has a wide form, whole groups of that
  /// come first: nothing may be updated twice (`include/elementwise.glsl`).
  func updates<K: ComputeKernel>(
    _ kernel: K.Type, _ traits: DeviceTraits, push: (_ vectors: UInt32) -> K.Push,
    operands: (_ elements: Range<Int>) -> [Operand]
  ) -> [Dispatch] where K.Constants == NoConstants {
    let parts = pieces.flatMap { piece -> [Range<Int>] in
      let whole = piece.elements.count / Self.unit * Self.unit
      return [piece.elements.prefix(whole), piece.elements.dropFirst(whole)]
    }
    return parts.filter { !$0.isEmpty }.map { elements -> Dispatch in
      Dispatch(
        kernel, constants: NoConstants(), push: push(UInt32(elements.count / 4)), operands(elements),
        vectors: elements.count / 4, fitsWide: elements.count % Self.unit == 0, traits)
    }
  }

  /// Elements that are whole groups in the wide form, and whose parts of the block and of its table start where devices bind.
  private static let unit = 64 * AdamW.chunk

  /// Scratch 0 of a launch that takes the norm.
  var partials: TensorType { TensorType([partialCount]) }

  /// The norm of the colocated gradients to output 0; sets the status if it is not finite.
  /// - Parameters: the inputs that hold the table and the status.
  func norm(table: Int, status: Int) -> [Dispatch] {
    pieces.map { piece -> Dispatch in
      Dispatch(
        SquaredNormKernel.self, constants: .init(CLUSTER: UInt32(cluster)),
        push: .init(
          count4: UInt32(piece.elements.count / 4), vectors_per_lane: UInt32(piece.vectorsPerLane),
          first_partial: UInt32(piece.firstPartial)),
        [
          .colocated.part(bytesOf: piece.elements).texels(.rgba32f),
          .input(table).part(wordsOf: piece.elements).texels(.r32ui), .scratch(0),
        ],
        groups: GroupCount(piece.groups), lanes: lanes)
    } + [
      Dispatch(
        GradientNormKernel.self, push: .init(count: UInt32(partialCount)),
        [.scratch(0).texels(.r32ui), .output(0), .input(status)], groups: GroupCount(1))
    ]
  }
}

extension Operand {
  /// Some elements of a block, and what its table says of them.
  func part(bytesOf elements: Range<Int>) -> Operand { part(elements.lowerBound * 4..<elements.upperBound * 4) }
  func part(wordsOf elements: Range<Int>) -> Operand {
    part(elements.lowerBound / AdamW.chunk * 4..<elements.upperBound / AdamW.chunk * 4)
  }
}
