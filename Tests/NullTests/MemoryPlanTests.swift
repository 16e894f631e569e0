import Graph
import Testing

@Suite struct MemoryPlanTests {
  private func conflicts(_ requests: [MemoryPlan.Request], _ plan: MemoryPlan) -> [String] {
    func range(_ i: Int) -> Range<Int> { plan.offsets[i]..<plan.offsets[i] + max(1, requests[i].bytes) }
    var found: [String] = []
    for i in requests.indices {
      if plan.offsets[i] % MemoryPlan.alignment != 0 { found.append("\(i) is at \(plan.offsets[i])") }
      if range(i).upperBound > plan.arenaBytes { found.append("\(i) ends beyond the arena") }
      for j in requests.indices.dropFirst(i + 1)
      where requests[i].first <= requests[j].last && requests[j].first <= requests[i].last
        && range(i).overlaps(range(j))
      {
        found.append("\(requests[i]) and \(requests[j]) share \(range(i).clamped(to: range(j)))")
      }
    }
    return found
  }

  @Test func whatIsAliveTogetherNeverOverlaps() {
    var random = SystemRandomNumberGenerator()
    for round in 0..<60 {
      let steps = Int.random(in: 1...60, using: &random)
      let requests = (0..<Int.random(in: 1...120, using: &random)).map { _ in
        let first = Int.random(in: 0...steps, using: &random)
        return MemoryPlan.Request(
          bytes: Int.random(in: 0...(round % 2 == 0 ? 1000 : 100_000), using: &random), first: first,
          last: first + Int.random(in: 0...(round % 3 == 0 ? 2 : steps), using: &random))
      }
      let plan = MemoryPlan(requests)
      #expect(conflicts(requests, plan) == [])
      // No plan can do with less than what is alive at the fullest moment.
      let fullest =
        (0...2 * steps).map { step in
          requests.filter { $0.first...$0.last ~= step }.reduce(0) { $0 + MemoryPlan.aligned($1.bytes) }
        }.max() ?? 0
      #expect(plan.arenaBytes >= fullest)

      // In buffers as short as they may be, none lies in two.
      let longest =
        (requests.map { MemoryPlan.aligned($0.bytes) }.max() ?? 0) + Int.random(in: 0...2000, using: &random)
      let parts = MemoryPlan(requests, longest: longest)
      #expect(conflicts(requests, parts) == [])
      #expect(parts.bufferBytes <= longest && parts.bufferBytes % MemoryPlan.alignment == 0)
      for (request, offset) in zip(requests, parts.offsets) {
        #expect(offset / parts.bufferBytes == (offset + max(1, request.bytes) - 1) / parts.bufferBytes)
      }
    }
  }

  @Test func chainNeedsTwoPlaces() {
    // Each value is read by the next op only.
    let requests = (0..<50).map { MemoryPlan.Request(bytes: 1000, first: $0, last: $0 + 1) }
    #expect(MemoryPlan(requests).arenaBytes == 2 * 1024)
  }

  @Test func smallOnesFillTheHoles() {
    let requests = [
      MemoryPlan.Request(bytes: 1024, first: 0, last: 9), MemoryPlan.Request(bytes: 2048, first: 0, last: 4),
      MemoryPlan.Request(bytes: 512, first: 5, last: 9), MemoryPlan.Request(bytes: 512, first: 5, last: 9),
    ]
    #expect(MemoryPlan(requests).arenaBytes == 3072)
  }

  @Test func samePlanEveryTime() {
    let requests = (0..<200).map { MemoryPlan.Request(bytes: $0 * 7919 % 4096, first: $0 % 17, last: $0 % 17 + $0 % 5) }
    #expect(MemoryPlan(requests).offsets == MemoryPlan(requests).offsets)
  }
}
