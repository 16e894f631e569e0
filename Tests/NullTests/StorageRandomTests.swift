import Random
import Testing

@testable import Storage

@Suite struct StorageRandomTests {
  /// Known answers of Random123 (kat_vectors, philox4x32 10).
  @Test func philoxKnownAnswers() {
    #expect(
      CounterRandom.philox(counter: .zero, key: .zero)
        == SIMD4(0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8))
    #expect(
      CounterRandom.philox(counter: SIMD4(repeating: .max), key: SIMD2(repeating: .max))
        == SIMD4(0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd))
    #expect(
      CounterRandom.philox(
        counter: SIMD4(0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344), key: SIMD2(0xa409_3822, 0x299f_31d0))
        == SIMD4(0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1))
  }

  @Test func sequenceIsTheBlocksInOrder() {
    var random = CounterRandom(seed: 7, stream: "a")
    for position in 0..<3 {
      let block = random.uint32x4(at: UInt64(position))
      for lane in 0..<4 { #expect(random.nextUInt32() == block[lane]) }
    }
    let blocks = [(7, "a"), (8, "a"), (7, "b"), (7 + 1 << 32, "a")].map {
      CounterRandom(seed: $0.0, stream: $0.1).uint32x4(at: 0)
    }
    #expect(Set(blocks).count == 4)
    #expect(blocks[0] != CounterRandom(seed: 7, stream: "a").uint32x4(at: 1 << 32))
  }

  /// Computed apart, from the papers. They may never change: stored runs and golden files depend on them.
  @Test func streamIsPinned() {
    let random = CounterRandom(seed: 42, stream: "pinned")
    #expect(random.uint32x4(at: 0) == SIMD4(0xbd67_a2f8, 0x6577_b9f4, 0x748d_b1ca, 0xfde3_d70b))
    var (first, second) = (random, random)
    #expect(first.shuffled(8) == [3, 0, 7, 1, 4, 6, 2, 5])
    #expect(second.uniform() == 0x1.7acf45f0caef7p-1)
  }

  @Test func moments() {
    var random = CounterRandom(seed: 1, stream: "moments")
    let count = 40_000
    let uniform = (0..<count).map { _ in random.uniform() }
    #expect(uniform.allSatisfy { 0..<1 ~= $0 })
    #expect(abs(uniform.reduce(0, +) / Double(count) - 0.5) < 0.006)  // 4 sigma
    let normal = (0..<count).map { _ in random.normal() }
    let powers = (1...4).map { power in
      normal.reduce(0) { sum, x in sum + (0..<power).reduce(1) { product, _ in product * x } } / Double(count)
    }
    #expect(abs(powers[0]) < 0.02 && abs(powers[1] - 1) < 0.03 && abs(powers[2]) < 0.08 && abs(powers[3] - 3) < 0.2)
  }

  @Test func belowIsUniform() {
    var random = CounterRandom(seed: 2, stream: "below")
    var counts = [Int](repeating: 0, count: 6)
    for _ in 0..<60_000 { counts[random.below(6)] += 1 }
    #expect(counts.allSatisfy { abs($0 - 10_000) < 400 })
    // Without rejection, half of the numbers below 3/4 of 2^32 would be multiples of 3.
    let threes = (0..<9_000).count { _ in random.below(3 << 30).isMultiple(of: 3) }
    #expect(abs(threes - 3_000) < 200)
    #expect(random.below(1) == 0)
  }

  @Test func shuffledIsAPermutation() {
    var random = CounterRandom(seed: 3, stream: "shuffle")
    let (first, second) = (random.shuffled(1000), random.shuffled(1000))
    #expect(first.sorted() == Array(0..<1000) && first != second && first != Array(0..<1000))
    #expect(random.shuffled(0) == [] && random.shuffled(1) == [0])
  }
}

@Suite struct StorageBatchSamplerTests {
  @Test func everyEpochVisitsEachSampleOnce() throws {
    let sampler = try BatchSampler(count: 12, batch: 4, seed: 5, stream: "train")
    let epochs = (0..<3).map { epoch in (0..<3).flatMap { sampler.indices(step: epoch * 3 + $0) } }
    for epoch in epochs { #expect(epoch.sorted() == Array(0..<12)) }
    #expect(Set(epochs).count == 3)
  }

  @Test func lastPartialBatchIsDropped() throws {
    let sampler = try BatchSampler(count: 11, batch: 4, seed: 5, stream: "train")
    #expect(sampler.stepsPerEpoch == 2)
    #expect(Set(sampler.indices(step: 0) + sampler.indices(step: 1)).count == 8)
    #expect(Set(sampler.indices(step: 1) + sampler.indices(step: 2)).count <= 8)
  }

  @Test func isAFunctionOfTheStep() throws {
    let sampler = try BatchSampler(count: 100, batch: 7, seed: 9, stream: "train")
    let inOrder = (0..<60).map { sampler.indices(step: $0) }
    let fresh = try BatchSampler(count: 100, batch: 7, seed: 9, stream: "train")
    for step in [59, 3, 31, 14, 13, 0] { #expect(fresh.indices(step: step) == inOrder[step]) }
    #expect(try BatchSampler(count: 100, batch: 7, seed: 10, stream: "train").indices(step: 0) != inOrder[0])
    #expect(try BatchSampler(count: 100, batch: 7, seed: 9, stream: "other").indices(step: 0) != inOrder[0])
  }

  @Test func refusesImpossibleBatches() {
    for batch in [0, -1, 11] {
      let error = #expect(throws: StorageError.self) {
        try BatchSampler(count: 10, batch: batch, seed: 0, stream: "")
      }
      #expect(error?.description == "cannot draw batches of \(batch) from 10 samples; choose a batch size from 1 to 10")
    }
  }
}
