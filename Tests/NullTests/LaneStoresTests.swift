import GPU
import Testing

@testable import Ops

@Suite struct LaneStoresTests {
  @Test(arguments: [4, 8, 16])
  func groupsAreWholeAndTheirNumbersHave20Bits(_ lanes: Int) throws {
    let stores = try #require(LaneStores(DeviceTraits(subgroupSize: lanes)))
    #expect(stores.storable(4095) == 0 && stores.storable(9000) == 8192)
    for count in [4096, 8192, stores.storable(.max)] {
      let groups = stores.groups(count)
      #expect(groups.x * groups.y * 8 * lanes * LaneStores.turns == count)
      #expect(groups.x * groups.y <= 1 << 20 && groups.y <= DeviceTraits.guaranteedGroups)
    }
  }

  @Test func onlyWideStoresGoLaneByLane() {
    #expect(LaneStores(DeviceTraits(hasInt64: false)) == nil && LaneStores(DeviceTraits(isSoftware: false)) == nil)
  }
}
