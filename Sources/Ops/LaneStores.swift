import GPU
import Graph

/// How an elementwise kernel stores what its lanes hold, lane by lane and span by span (`include/lane_stores.glsl`): one subgroup a
/// group, over whole units of elements.
struct LaneStores {
  /// Elements that are a whole number of groups; so many bytes, and words of `AdamW`'s table, start where devices bind.
  static let unit = 64 * AdamW.chunk
  /// Of a lane; with more the code grows, and compiling takes longer than they save.
  static let turns = 4

  let lanes: Int

  /// nil where the driver is not one that this is for, or no unit is a whole number of groups.
  init?(_ traits: DeviceTraits) {
    lanes = traits.subgroupSize
    guard traits.storesWide, Self.unit % (8 * lanes * Self.turns) == 0 else { return nil }
  }

  private var groupsOfUnit: Int { Self.unit / (8 * lanes * Self.turns) }

  /// So many of `count` elements can be stored in one dispatch: whole units, in groups whose numbers have 20 bits.
  func storable(_ count: Int) -> Int {
    min(count / Self.unit, DeviceTraits.guaranteedGroups, (1 << 20) / groupsOfUnit) * Self.unit
  }

  /// For as many elements as are `storable`.
  func groups(_ count: Int) -> GroupCount { GroupCount(groupsOfUnit, count / Self.unit) }
}

extension InlineArray where count == 16, Element == UInt32 {
  /// 0 ... 15, what kernels with lane stores find numbers in.
  static var identity: Self { Self { UInt32($0) } }
}
