import Foundation
import GPU
import Testing

@testable import Tuning

@Suite struct VectorWidthTests {
  private static let wide = Processor(
    "model name\t: A\ncpu family\t: 26\nmodel\t\t: 2\nflags\t\t: fpu avx512f avx512bw avx512cd avx512dq avx512vl\n",
    count: 2)
  private static let narrow = Processor("model name\t: A\ncpu family\t: 25\nflags\t\t: fpu avx2 avx512f\n", count: 2)

  private static func record(_ chosen: Int?) -> WidthStore.Record {
    .init(driver: "driver", kernels: "k", chosen: chosen, date: "2026-01-01")
  }

  private func decide(
    _ wish: VectorWidth.Wish, set: String? = nil, _ record: WidthStore.Record? = nil, _ processor: Processor = wide
  ) -> VectorWidth.Decision {
    VectorWidth.decision(wish, set: set, record: record, on: processor)
  }

  @Test func processorsAreToldApart() {
    #expect(Self.wide.description == "2 x A, cpu family 26, model 2" && Self.wide.has512Bits)
    #expect(Self.narrow.description == "2 x A, cpu family 25" && !Self.narrow.has512Bits)
    let unknown = Processor("", count: 4)
    #expect(unknown.description == "4 x processor" && !unknown.has512Bits)
    func longestLoop(_ family: Int, _ flags: String, vendor: String = "AuthenticAMD") -> LongestLoop {
      Processor("vendor_id\t: \(vendor)\ncpu family\t: \(family)\nflags\t\t: \(flags)\n", count: 2).longestLoop
    }
    #expect(longestLoop(25, "avx2") == .instructions2000 && longestLoop(25, "avx2 avx512f") == .instructions3600)
    #expect(longestLoop(26, "avx2 avx512f") == .instructions4000)
    #expect(longestLoop(6, "avx2 avx512f", vendor: "GenuineIntel") == .instructions2000)
    #expect(longestLoop(6, "avx2 avx512f avx512_fp16", vendor: "GenuineIntel") == .instructions4000)
  }

  @Test(arguments: [.driversOwn, .bits(128), .known, .measured, .measuredAnew] as [VectorWidth.Wish])
  func theEnvironmentHasTheLastWord(_ wish: VectorWidth.Wish) {
    #expect(decide(wish, set: "256", Self.record(512)) == .leave)
  }

  @Test func aRunKeepsWhatItBeganWith() {
    for record in [nil, Self.record(nil), Self.record(512)] {
      for processor in [Self.wide, Self.narrow] {
        #expect(decide(.bits(256), record, processor) == .take(256))
        #expect(decide(.driversOwn, record, processor) == .leave)
      }
    }
  }

  @Test func whatIsKnownIsTakenAndWhatIsNotIsMeasured() {
    for wish in [VectorWidth.Wish.known, .measured] {
      #expect(decide(wish, Self.record(512)) == .take(512))
      #expect(decide(wish, Self.record(nil)) == .leave)
    }
    #expect(decide(.known) == .leave)
    #expect(decide(.measured) == .measure)
    #expect(decide(.measuredAnew, Self.record(512)) == .measure)
    #expect(decide(.measured, nil, Self.narrow) == .leave)
    #expect(decide(.measuredAnew, nil, Self.narrow) == .leave)
  }

  @Test func widerVectorsMustBeFasterThanNoise() {
    #expect(WidthTrial.choice([[1, 1.1, 1.2], [0.8, 0.9, 1]]))
    #expect(!WidthTrial.choice([[1, 1.1, 1.2], [0.99, 1.08, 1.2]]))
    // One good sample is not enough, and a bad one of the other side neither.
    #expect(!WidthTrial.choice([[1, 1.1, 1.2], [0.5, 1.1, 1.2]]))
    #expect(!WidthTrial.choice([[1, 1.5, 1.6], [1.1, 1.2, 1.3]]))
  }

  // MARK: The file

  private let scratch: TemporaryDirectory
  init() throws { scratch = try TemporaryDirectory() }

  private func store(_ environment: [String: String] = [:], _ processor: Processor = wide) -> WidthStore {
    WidthStore(directory: URL(fileURLWithPath: scratch.path), environment: environment, processor: processor)
  }

  private func read(_ store: WidthStore, for device: String? = nil) -> (record: WidthStore.Record?, notices: [String]) {
    var notices: [String] = []
    let record = store.record(for: device) { notices.append($0) }
    return (record, notices)
  }

  private func keep(_ record: WidthStore.Record?, for device: String? = nil) {
    store().keep(record, for: device) { Issue.record("\($0)") }
  }

  @Test func recordsAreKeptByProcessorAndDriver() {
    #expect(read(store()).record == nil && read(store()).notices.isEmpty)
    keep(Self.record(512))
    keep(Self.record(nil), for: "NVIDIA")
    #expect(read(store()).record == Self.record(512) && read(store(), for: "NVIDIA").record == Self.record(nil))
    #expect(read(store(["VK_ICD_FILENAMES": "x.json"])).record == nil)
    #expect(read(store([:], Self.narrow)).record == nil)
    #expect(read(store(["HOME": "/"])).record == Self.record(512))
    keep(nil)
    #expect(read(store()).record == nil && read(store(), for: "NVIDIA").record == Self.record(nil))
  }

  @Test(arguments: ["", "{", "[]", "{\"format\": 2}"]) func unusableFilesCountAsNoneAndAreReplaced(_ text: String)
    throws
  {
    let path = store().path
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    let (record, notices) = read(store())
    #expect(record == nil && notices.count == 1 && notices[0].hasPrefix("\(path) is "), "\(notices)")
    keep(Self.record(512))
    #expect(read(store()).record == Self.record(512) && read(store()).notices.isEmpty)
  }

  @Test func truncatedFilesCountAsNone() throws {
    keep(Self.record(512))
    let path = store().path
    let whole = try Data(contentsOf: URL(fileURLWithPath: path))
    for count in stride(from: 1, to: whole.count - 1, by: 5) {
      try whole.prefix(count).write(to: URL(fileURLWithPath: path))
      #expect(read(store()).record == nil && read(store()).notices.count == 1, "\(count) bytes")
    }
  }

  /// The driver would take any number.
  @Test(arguments: [0, 64, 1024, -512]) func widthsThatThereAreNotCountAsNone(_ bits: Int) {
    keep(Self.record(bits))
    #expect(read(store()).record == nil)
  }

  @Test func aDirectoryThatCannotBeWrittenIsNamed() throws {
    let file = try scratch.file("file", [1])
    let store = WidthStore(directory: URL(fileURLWithPath: file + "/below"), environment: [:], processor: Self.wide)
    var notices: [String] = []
    store.keep(Self.record(512), for: nil) { notices.append($0) }
    #expect(notices.count == 1 && notices[0].contains(file), "\(notices)")
  }
}
