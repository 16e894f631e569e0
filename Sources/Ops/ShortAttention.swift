import GPU
import Graph
import Kernels

/// Attention over few tokens as straight-line code, a token of one (b, h) a lane (`include/short_attention.glsl`).
struct ShortAttention {
  private let layout: AttentionLayout
  /// Set for the kernels' wide form, see `Dispatch`.
  private let lanes: Int?
  private let traits: DeviceTraits

  /// Nil for hardware, and where the code of all pairs of tokens would be long.
  init?(qkv: Shape, heads: Int, _ traits: DeviceTraits) {
    layout = AttentionLayout(qkv: qkv, heads: heads)
    self.traits = traits
    let parts = layout.batch * layout.heads * ((layout.tokens + traits.subgroupSize - 1) / traits.subgroupSize)
    lanes = traits.storesWide && parts <= Dispatch.wideParts ? traits.subgroupSize : nil
    guard traits.isSoftware, layout.headDimension % 8 == 0, layout.tokens * layout.headDimension <= 576 else {
      return nil
    }
  }

  /// `variants`, with that of `launch` where it belongs: first in the wide form, where numbers that all lanes need are read once, by
  /// address; else last. The gradient's is last on Zen 3 too (16 vector registers): 1.7 times as slow as `own` there.
  func joining(_ variants: [Variant], _ launch: KeyPath<Self, Launch>) -> [Variant] {
    let straight = [Variant("straight", self[keyPath: launch])]
    let isFirst = lanes != nil && (launch == \.forward || traits.longestLoop != .instructions2000)
    return isFirst ? straight + variants : variants + straight
  }

  /// See `Attention`.
  var forward: Launch {
    Launch([
      Dispatch(
        ShortAttentionKernel.self, constants: .init(T: tokens, H: heads, D: dimension),
        push: .init(pairs: pairs, scale: Float(layout.scale)),
        [.input(0).texels(.rgba32f), .output(0), .output(1)], groups: groups, lanes: lanes)
    ])
  }

  /// See `AttentionBackward`.
  var backward: Launch {
    Launch(
      scratch: [TensorType([Int(pairs), layout.tokens, 2])],
      [
        Dispatch(
          ShortAttentionQueriesKernel.self, constants: .init(T: tokens, H: heads, D: dimension),
          push: .init(pairs: pairs, scale: Float(layout.scale)),
          [
            .input(0).texels(.rgba32f), .input(1).texels(.rgba32f), .input(3).texels(.rgba32f), .input(2).texels(.r32f),
            .output(0), .scratch(0),
          ], groups: groups, lanes: lanes),
        Dispatch(
          ShortAttentionKeysKernel.self, constants: .init(T: tokens, H: heads, D: dimension),
          push: .init(pairs: pairs, scale: Float(layout.scale)),
          [.input(0).texels(.rgba32f), .input(3).texels(.rgba32f), .scratch(0).texels(.r32f), .output(0)],
          groups: groups, lanes: lanes),
      ])
  }

  private var tokens: Int32 { Int32(layout.tokens) }
  private var heads: Int32 { Int32(layout.heads) }
  private var dimension: Int32 { Int32(layout.headDimension) }
  private var pairs: UInt32 { UInt32(layout.batch * layout.heads) }
  private var groups: GroupCount {
    let perPair = lanes.map { (layout.tokens + $0 - 1) / $0 * $0 } ?? layout.tokens
    return .linear(layout.batch * layout.heads * perPair, perGroup: 64)
  }
}
