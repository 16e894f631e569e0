import GPU
import Graph
import Testing

@testable import Ops

@Suite struct BlockPiecesTests {
  /// What is updated in place may be in one group only: wide dispatches are whole groups in a grid that does not wrap.
  @Test(arguments: [4, 8, 16], [4032, 4096, 9024, 1 << 29])
  func nothingIsUpdatedTwice(_ lanes: Int, _ count: Int) {
    let traits = DeviceTraits(subgroupSize: lanes, maxTexelBufferElements: 1 << 30, maxStorageBufferRange: 1 << 31)
    let op = Sgd(momentum: 0.9, weightDecay: 0, count: count, offsets: [0])
    let inputs = [TensorType([count]), TensorType([count]), TensorType([4], .u32), TensorType([count / 64], .u32)]
    let site = LaunchSite(
      inputs: inputs + [TensorType([8], .u32), TensorType([count])], outputs: [TensorType([1])], traits: traits)
    var covered = 0
    for dispatch in op.launch(site).dispatches where dispatch.source.name.hasPrefix("sgd") {
      let elements = (dispatch.operands[0].bytes?.count ?? 0) / 4
      if dispatch.source.name == "sgd_wide" {
        #expect(dispatch.groups.y == 1 && dispatch.groups.x * Dispatch.wideGroup(traits) == elements)
      }
      covered += elements
    }
    #expect(covered == count)
  }
}
