import GPU
import Graph
import Ops
import Testing

struct RouteTests {
  /// Chunks are whole texels and a power of two, and no loop comes near the 65,535 iterations that one driver stops at.
  @Test func chunksKeepLoopsShort() {
    for software in [true, false] {
      let traits = DeviceTraits(isSoftware: software)
      for experts in [1, 2, 4, 8, 64, 65, 256, 1024] {
        let chunk = Route.chunk(experts: experts, traits: traits)
        #expect(chunk.nonzeroBitCount == 1 && 32...1024 ~= chunk, "\(experts) experts: chunk \(chunk)")
        let table = experts * ((400_000 + chunk - 1) / chunk)
        #expect(table <= 2 * 400_000 + 2 * experts, "\(experts) experts: a table of \(table)")
      }
    }
  }
}
