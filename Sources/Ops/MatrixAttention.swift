import GPU
import Graph
import Kernels

/// `Attention` and its gradient by a GPU's matrix units, in mixed precision (`include/matrix_attention.glsl`).
struct MatrixAttention: Sendable {
  private let unit: MatrixUnit
  private let subgroups: Int32
  private let headDimension: Int32
  private let tokens: Int
  private let heads: Int
  private let pairs: Int
  private let scale: Float

  private static let invocations = 128
  /// Queries or keys of a workgroup. The gradient keeps two rows of each and two tiles of scores, and so half of them.
  private static let (own, ownOfGradient) = (64, 32)

  /// Bytes of a row of 32 scores (`SCORE_ROW`).
  private static let scoreBytes = 144

  /// nil where the device has no matrix units or may not use them, or where a matrix of each subgroup does not fit into the scores' memory,
  /// which sums leave through.
  init?(qkv: Shape, heads: Int, _ traits: DeviceTraits) {
    guard let unit = traits.matrixUnit, traits.subgroupSize >= 4, Self.invocations % traits.subgroupSize == 0,
      Self.invocations / traits.subgroupSize * unit.m * unit.n * 4 <= Self.ownOfGradient * Self.scoreBytes
    else { return nil }
    let layout = AttentionLayout(qkv: qkv, heads: heads)
    self.unit = unit
    self.heads = heads
    subgroups = Int32(Self.invocations / traits.subgroupSize)
    headDimension = Int32(layout.headDimension)
    tokens = qkv[1]
    pairs = qkv[0] * heads
    scale = Float(layout.scale)
  }

  private func groups(_ own: Int) -> GroupCount { GroupCount((tokens + own - 1) / own, pairs) }

  var forward: Launch {
    Launch([
      Dispatch(
        MatrixAttentionKernel.self,
        constants: .init(
          MATRIX_M: Int32(unit.m), MATRIX_N: Int32(unit.n), MATRIX_K: Int32(unit.k), D: headDimension,
          OWN: Int32(Self.own), SUBGROUPS: subgroups),
        push: .init(T: Int32(tokens), H: Int32(heads), scale: scale), [.input(0), .output(0), .output(1)],
        groups: groups(Self.own))
    ])
  }

  var backward: Launch {
    let own = Self.ownOfGradient
    return Launch(
      scratch: [TensorType([pairs, tokens, 2])],
      [
        Dispatch(
          MatrixAttentionQueriesKernel.self,
          constants: .init(
            MATRIX_M: Int32(unit.m), MATRIX_N: Int32(unit.n), MATRIX_K: Int32(unit.k), D: headDimension,
            OWN: Int32(own), SUBGROUPS: subgroups),
          push: .init(T: Int32(tokens), H: Int32(heads), scale: scale),
          [.input(0), .input(1), .input(3), .input(2), .output(0), .scratch(0)], groups: groups(own)),
        Dispatch(
          MatrixAttentionKeysKernel.self,
          constants: .init(
            MATRIX_M: Int32(unit.m), MATRIX_N: Int32(unit.n), MATRIX_K: Int32(unit.k), D: headDimension,
            OWN: Int32(own), SUBGROUPS: subgroups),
          push: .init(T: Int32(tokens), H: Int32(heads), scale: scale),
          [.input(0), .input(3), .scratch(0), .output(0)], groups: groups(own)),
      ])
  }

  /// The variants with this one among them: the default on a GPU for tokens that fill its tiles; on a software driver, which only
  /// imitates the units, the last.
  func joining(_ others: [Variant], _ launch: KeyPath<MatrixAttention, Launch>, _ traits: DeviceTraits) -> [Variant] {
    let variant = Variant("matrix", self[keyPath: launch], roundsFactors: true)
    return traits.isSoftware || tokens < Self.own ? others + [variant] : [variant] + others
  }
}
