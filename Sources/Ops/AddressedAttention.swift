import GPU
import Graph
import Kernels

/// Attention for drivers that load once what all lanes read alike: a token of one (b, h) a lane, the others' numbers by address
/// (`include/addressed_attention.glsl`).
struct AddressedAttention {
  private let layout: AttentionLayout
  private let lanes: Int
  private let step: Int

  /// Nil where the driver loads by lanes in loops, and where a step's code would be long.
  private init?(qkv: Shape, heads: Int, step: Int, _ traits: DeviceTraits) {
    layout = AttentionLayout(qkv: qkv, heads: heads)
    lanes = traits.subgroupSize
    self.step = step
    guard traits.loadsOnceInLoops, traits.discardsOutside, traits.storesWide, layout.headDimension % 8 == 0,
      layout.headDimension <= 128, layout.tokens >= step
    else { return nil }
  }

  /// `variants` behind those of `launch`, of four tokens at once and of eight.
  static func joining(
    _ variants: [Variant], _ launch: KeyPath<Self, Launch>, qkv: Shape, heads: Int, _ traits: DeviceTraits
  ) -> [Variant] {
    [8, 4].compactMap { step in
      Self(qkv: qkv, heads: heads, step: step, traits).map { Variant("addressed \(step)", $0[keyPath: launch]) }
    } + variants
  }

  /// See `Attention`.
  var forward: Launch {
    Launch([
      Dispatch(
        AddressedAttentionKernel.self,
        constants: .init(local_size_x: UInt32(lanes), D: dimension, STEP: Int32(step), H: heads, LANES: UInt32(lanes)),
        push: .init(T: tokens, scale: Float(layout.scale)),
        [.input(0).texels(.rgba32f), .output(0), .output(1)], groups: groups)
    ])
  }

  /// See `AttentionBackward`.
  var backward: Launch {
    Launch(
      scratch: [TensorType([layout.batch * layout.heads, layout.tokens, 2])],
      [
        Dispatch(
          AddressedAttentionQueriesKernel.self,
          constants: .init(
            local_size_x: UInt32(lanes), D: dimension, STEP: Int32(step), H: heads, LANES: UInt32(lanes)),
          push: .init(T: tokens, zero: 0, scale: Float(layout.scale)),
          [
            .input(0).texels(.rgba32f), .input(1).texels(.rgba32f), .input(3).texels(.rgba32f), .input(2).texels(.r32f),
            .output(0), .scratch(0),
          ], groups: groups),
        Dispatch(
          AddressedAttentionKeysKernel.self,
          constants: .init(
            local_size_x: UInt32(lanes), D: dimension, STEP: Int32(step), H: heads, LANES: UInt32(lanes)),
          push: .init(T: tokens, zero: 0, scale: Float(layout.scale)),
          [.input(0).texels(.rgba32f), .input(3).texels(.r32f), .scratch(0).texels(.r32f), .output(0)],
          groups: groups),
      ])
  }

  private var tokens: Int32 { Int32(layout.tokens) }
  private var heads: Int32 { Int32(layout.heads) }
  private var dimension: Int32 { Int32(layout.headDimension) }
  private var groups: GroupCount {
    GroupCount((layout.tokens + lanes - 1) / lanes, layout.batch * layout.heads, 1)
  }
}
