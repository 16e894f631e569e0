import Foundation
import GPU
import Testing

@Suite struct FreeListTests {
  @Test func takesTheFirstHoleThatFits() {
    var list = FreeList(capacity: 1000)
    #expect(list.take(300, alignment: 1) == 0)
    #expect(list.take(300, alignment: 1) == 300)
    #expect(list.take(300, alignment: 1) == 600)
    #expect(list.take(101, alignment: 1) == nil)
    list.give(300..<600)
    #expect(list.take(100, alignment: 1) == 300)
    #expect(list.take(100, alignment: 1) == 400)
    #expect(list.take(100, alignment: 1) == 500)
    #expect(list.take(100, alignment: 1) == 900)
    #expect(list.take(1, alignment: 1) == nil)
  }

  @Test func alignmentLeavesAUsableHole() {
    var list = FreeList(capacity: 1024)
    #expect(list.take(10, alignment: 1) == 0)
    #expect(list.take(256, alignment: 256) == 256)
    #expect(list.take(246, alignment: 1) == 10)
  }

  @Test func randomUseNeverOverlapsAndMergesBack() {
    var list = FreeList(capacity: 4096)
    var taken: [Range<Int>] = []
    var random = SystemRandomNumberGenerator()
    for _ in 0..<5000 {
      if Bool.random(using: &random), let i = taken.indices.randomElement() {
        list.give(taken.remove(at: i))
      } else {
        let (bytes, alignment) = (Int.random(in: 1...300), [1, 16, 256].randomElement() ?? 1)
        guard let offset = list.take(bytes, alignment: alignment) else { continue }
        let range = offset..<offset + bytes
        #expect(offset % alignment == 0 && range.upperBound <= 4096)
        #expect(!taken.contains { $0.overlaps(range) })
        taken.append(range)
      }
    }
    for range in taken.shuffled() { list.give(range) }
    #expect(list.isUnused)
  }
}

@Suite struct HazardTrackerTests {
  private func read(_ range: Range<Int>, of buffer: UInt64 = 1) -> HazardTracker.Touch {
    .init(buffer: buffer, range: range, writes: false)
  }

  private func write(_ range: Range<Int>, of buffer: UInt64 = 1) -> HazardTracker.Touch {
    .init(buffer: buffer, range: range, writes: true)
  }

  private func barriers(_ commands: [[HazardTracker.Touch]]) -> [Bool] {
    var tracker = HazardTracker()
    return commands.map { tracker.needsBarrier(before: $0) }
  }

  @Test func onlyConflictsNeedBarriers() {
    #expect(barriers([[write(0..<8)], [read(7..<9)]]) == [false, true])
    #expect(barriers([[read(0..<8)], [write(0..<1)]]) == [false, true])
    #expect(barriers([[write(0..<8)], [write(4..<5)]]) == [false, true])
    #expect(barriers([[read(0..<8)], [read(0..<8)]]) == [false, false])
    #expect(barriers([[write(0..<8)], [read(8..<16)]]) == [false, false])
    #expect(barriers([[write(0..<8)], [read(0..<8, of: 2)]]) == [false, false])
  }

  @Test func inPlaceIsNoConflictWithItself() {
    #expect(barriers([[read(0..<8), write(0..<8)], [read(8..<9)]]) == [false, false])
  }

  @Test func aBarrierCoversEverythingBeforeIt() {
    let commands = [[write(0..<8)], [write(8..<16)], [read(0..<8), write(16..<24)], [read(8..<16)], [read(16..<24)]]
    #expect(barriers(commands) == [false, false, true, false, true])
  }
}

@Suite struct PipelineFileTests {
  private let directory = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)

  private func file(cacheUUID: UInt8 = 7, driver vendor: UInt32 = 1) -> PipelineFile {
    var device = DeviceSnapshot(name: "gpu", kind: .discrete)
    device.vendorID = vendor
    device.deviceID = 2
    device.pipelineCacheUUID = Array(repeating: cacheUUID, count: 16)
    return PipelineFile(device, directory: directory)
  }

  private let body =
    Data([32, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0] + Array(repeating: UInt8(7), count: 16) + [1, 2, 3])

  @Test func storesPerDeviceAndDriver() throws {
    defer { try? FileManager.default.removeItem(at: directory) }
    #expect(file().load() == nil)
    file().store(body)
    #expect(file().load() == body)
    #expect(file(cacheUUID: 8).load() == nil)
    #expect(file(driver: 9).load() == nil)
    #expect(file().url.lastPathComponent == "pipelines-07070707070707070707070707070707.bin")
  }

  @Test func damageIsNoticedAnywhere() throws {
    defer { try? FileManager.default.removeItem(at: directory) }
    file().store(body)
    let good = try Data(contentsOf: file().url)
    for i in good.indices {
      var bad = good
      bad[i] ^= 1
      try bad.write(to: file().url)
      #expect(file().load() == nil)
    }
    try good.dropLast().write(to: file().url)
    #expect(file().load() == nil)
    try Data().write(to: file().url)
    #expect(file().load() == nil)
  }
}
