import Foundation
import GPU
import Graph
import Kernels
import Ops
import Synchronization
import TestSupport
import Testing
import Tuning

/// Tuning with an op whose variants are good and bad by design.
@Suite(.enabled(if: TestDevice.isPresent, TestDevice.absence))
struct TunerTests {
  private let scratch: TemporaryDirectory
  private var directory: URL { URL(fileURLWithPath: scratch.path) }

  init() throws { scratch = try TemporaryDirectory() }

  /// y = 2 x, by writing it `times` times and so taking that much longer; `factor` is wrong if it is not 2.
  struct Way: Sendable, Hashable {
    var name: String
    var times = 1
    var factor: Float = 2
    var groups: Int?
  }

  /// The ways are no part of its description, so that they may change at a site.
  struct Doubling: Op, CustomStringConvertible {
    static let name = "doubling"
    let ways: [Way]
    /// Claimed operations; many make the reference too slow to be asked.
    var flops = 0
    var description: String { "Doubling" }

    func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] { inputs }
    func launch(_ site: LaunchSite) -> Launch { launch(site, ways[0]) }
    func variants(_ site: LaunchSite) -> [Variant] { ways.map { Variant($0.name, launch(site, $0)) } }
    func cost(_ inputs: [TensorType], _ outputs: [TensorType]) -> Cost { Cost(flops: flops, bytes: inputs[0].bytes) }
    func reference(_ inputs: [HostTensor]) -> [HostTensor] { [inputs[0].map { 2 * $0 }] }
    static let cases: [OpCase] = []

    private func launch(_ site: LaunchSite, _ way: Way) -> Launch {
      let vectors = site.inputs[0].count / 4
      let dispatch = Dispatch(
        ScaleKernel.self, push: .init(count4: UInt32(vectors), factor: way.factor),
        [.input(0).texels(.rgba32f), .output(0)],
        groups: way.groups.map { GroupCount($0) } ?? .linear(vectors, perGroup: 64))
      return Launch(Array(repeating: dispatch, count: way.times))
    }
  }

  /// As `Doubling`, with a small case that shows that "good" is right.
  struct Proven: Op {
    static let name = "proven"
    let doubling: Doubling
    func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] { inputs }
    func launch(_ site: LaunchSite) -> Launch { doubling.launch(site) }
    func variants(_ site: LaunchSite) -> [Variant] { doubling.variants(site) }
    func cost(_ inputs: [TensorType], _ outputs: [TensorType]) -> Cost {
      Cost(flops: inputs[0].count > 64 ? 1 << 50 : 64, bytes: 64)
    }
    func reference(_ inputs: [HostTensor]) -> [HostTensor] { doubling.reference(inputs) }
    static let cases = [
      OpCase("small", Proven(doubling: Doubling(ways: [slow, Way(name: "good")])), [.init([64])])
    ]
  }

  private static let slow = Way(name: "slow", times: 400)
  private static let good = Way(name: "good", times: 20)

  private func program(_ ops: (any Op)..., count: Int = 1 << 14) throws -> [(program: Program, runs: Int)] {
    let graph = Graph()
    var results: [Value] = []
    for op in ops { results += try graph.apply(op, to: [graph.input("x", [count])]) }
    return [(Program(graph, results: results), 1)]
  }

  private func key(_ op: any Op, count: Int = 1 << 14) -> String { Choices.key(op, [TensorType([count])]) }

  private func tuner(_ device: Device, _ change: (inout Tuner.Settings) -> Void = { _ in }) -> Tuner {
    var settings = Tuner.Settings()
    settings.seconds = 600
    change(&settings)
    return Tuner(device, directory: directory, settings: settings) { Issue.record("notice: \($0)") }
  }

  private func trials(_ op: any Op, _ device: Device) throws -> [String: TuningStore.Trial] {
    let store = TuningStore(device.snapshot, directory: directory) { Issue.record("notice: \($0)") }
    let record = try #require(store.records[key(op)])
    return Dictionary(uniqueKeysWithValues: record.trials.map { ($0.name, $0) })
  }

  /// The fastest is wrong, another one does not fit, another one is slower: what is left wins.
  @Test func theFastestRightOneWins() throws {
    let device = try TestDevice.open()
    let op = Doubling(ways: [
      Self.slow, Way(name: "wrong", factor: 2.001),
      Way(name: "half", groups: 1), Self.good, Way(name: "slower", times: 1000),
      Way(name: "misfit", groups: device.traits.maxGroups[0] + 1),
    ])
    let report = try tuner(device).choose(for: program(op))
    #expect(report.choices.names == [key(op): "good"])
    #expect(report.sites == 1 && report.measured == 1)
    let trials = try trials(op, device)
    #expect(trials["slow"]?.rejected == nil && trials["slow"]?.medianSeconds != nil)
    #expect(trials["wrong"]?.rejected?.hasPrefix("result 0 is wrong: element 0 is ") == true, "\(trials)")
    // What was not written is not a number, and not what another variant left there.
    #expect(trials["half"]?.rejected?.contains("is nan") == true, "\(trials)")
    #expect(trials["good"]?.error == 0 && trials["good"]?.rejected == nil, "\(trials)")
    #expect(trials["slower"]?.medianSeconds != nil)
    #expect(trials["misfit"]?.rejected?.contains("groups in x, the device allows") == true, "\(trials)")
    #expect(trials["misfit"]?.medianSeconds == nil)
  }

  @Test func theDefaultStaysUnlessAnotherIsFaster() throws {
    let device = try TestDevice.open()
    let op = Doubling(ways: [Self.good, Self.slow, Way(name: "wrong", times: 300, factor: 3)])
    #expect(try tuner(device).choose(for: program(op)).choices.names == [key(op): "good"])
  }

  /// A second tuning measures nothing and submits nothing; a changed variant, and asking for it, measure again.
  @Test func nothingIsMeasuredTwice() throws {
    let device = try TestDevice.open()
    let op = Doubling(ways: [Self.slow, Self.good])
    let first = try tuner(device).choose(for: program(op))
    let calls = device.counters
    let second = try tuner(device).choose(for: program(op))
    #expect(device.counters == calls)
    #expect(second.measured == 0 && second.sites == 1 && second.choices == first.choices)

    let other = Doubling(ways: [Self.slow, Self.good, Way(name: "new", times: 100)])
    #expect(try tuner(device).choose(for: program(other)).measured == 1)
    #expect(try trials(other, device)["new"]?.medianSeconds != nil)
    #expect(try tuner(device).choose(for: program(other)).measured == 0)
    #expect(try tuner(device).choose(for: program(other), anew: true).measured == 1)
    // What a run decided earlier stands, whatever is faster.
    let decided = Choices([key(other): "slow"])
    let kept = try tuner(device).choose(for: program(other), decided: decided)
    #expect(kept.choices == decided && kept.sites == 0 && kept.measured == 0)
  }

  /// Sites of the same code whose sizes are within a factor of two share a measurement, others do not.
  @Test func similarSizesShareAMeasurement() throws {
    let device = try TestDevice.open()
    let op = Doubling(ways: [Self.slow, Self.good])
    let programs = try program(op) + program(op, count: 1 << 15) + program(op, count: 1 << 16)
    let report = try tuner(device).choose(for: programs)
    #expect(report.sites == 3 && report.measured == 3)
    #expect(Set(report.choices.names.values) == ["good"] && report.choices.names.count == 3)
    let records = TuningStore(device.snapshot, directory: directory) { _ in }.records
    // The largest is measured first.
    #expect(records[key(op, count: 1 << 16)]?.like == nil)
    #expect(records[key(op, count: 1 << 15)]?.like == key(op, count: 1 << 16))
    #expect(records[key(op)]?.like == nil && records[key(op)]?.trials.count == 2)
  }

  /// Where the reference takes too long: against the default at full size, and against the reference in a small case.
  @Test func largeSitesAreCheckedInTwoWays() throws {
    let device = try TestDevice.open()
    var unproven = Doubling(ways: [Self.slow, Self.good])
    unproven.flops = 1 << 50
    let wrong = Proven(doubling: Doubling(ways: [Self.slow, Way(name: "wrong", factor: 3)]))
    #expect(try tuner(device).choose(for: program(unproven)).choices.names == [key(unproven): "slow"])
    #expect(
      try trials(unproven, device)["good"]?.rejected
        == "too large to be checked, and no case of the catalog has this variant")

    let proven = Proven(doubling: Doubling(ways: [Self.slow, Way(name: "good")]))
    #expect(try tuner(device).choose(for: program(proven)).choices.names == [key(proven): "good"])
    #expect(try trials(proven, device)["good"]?.error == 0)
    #expect(try tuner(device).choose(for: program(wrong)).choices.names == [key(wrong): "slow"])
    #expect(try trials(wrong, device)["wrong"]?.rejected?.hasPrefix("result 0 is wrong") == true)
  }

  @Test func whatThereIsNoTimeForKeepsTheDefault() throws {
    let device = try TestDevice.open()
    let op = Doubling(ways: [Self.slow, Self.good])
    let report = try tuner(device) { $0.seconds = 0 }.choose(for: program(op))
    #expect(report.choices.names == [key(op): "slow"])
    #expect(try trials(op, device)["good"]?.rejected == "no time was left to measure it")
    #expect(try tuner(device).choose(for: program(op)).measured == 0)
  }

  /// A variant that hangs ends the tuning with a reason; the next one goes on without it.
  @Test func aVariantThatHangsIsNotTriedAgain() throws {
    let device = try TestDevice.open()
    let op = Doubling(ways: [Way(name: "hangs", times: 3000), Self.good])
    let hung = #expect(throws: TuningError.self) { try tuner(device) { $0.patience = 0 }.choose(for: program(op)) }
    let text = try #require(hung?.description)
    #expect(text.contains("'hangs' of doubling at [16384] did not finish within 0 s"), "\(text)")
    #expect(hung?.wasStopped == false)
    try device.waitIdle()
    let report = try tuner(device).choose(for: program(op))
    #expect(report.measured == 0 && report.choices.names == [key(op): "good"])
    #expect(try trials(op, device)["hangs"]?.isFatal == true)
  }

  /// A process that died while it tried a variant leaves its name behind.
  @Test func aVariantThatEndedTheProcessIsNotTriedAgain() throws {
    let device = try TestDevice.open()
    let op = Doubling(ways: [Self.slow, Self.good])
    _ = try tuner(device).choose(for: program(op))
    let store = TuningStore(device.snapshot, directory: directory) { _ in }
    let fingerprint = try #require(store.records[key(op)]?.fingerprint)
    try Data("\(key(op))\n\(fingerprint)\ngood\n".utf8).write(to: URL(fileURLWithPath: store.path + ".lock"))
    try FileManager.default.removeItem(atPath: store.path)
    #expect(try tuner(device).choose(for: program(op)).choices.names == [key(op): "slow"])
    #expect(try trials(op, device)["good"]?.rejected == "the process or the device ended while it ran")
    // Asking for it tries everything once more.
    #expect(try tuner(device).choose(for: program(op), anew: true).choices.names == [key(op): "good"])
  }

  @Test func stoppingKeepsWhatWasMeasured() throws {
    let device = try TestDevice.open()
    let ops =
      [Doubling(ways: [Self.slow, Self.good]), Proven(doubling: Doubling(ways: [Self.slow, Way(name: "good")]))]
      as [any Op]
    let asked = Mutex(0)
    let stopping = Tuner(
      device, directory: directory, settings: Tuner.Settings(),
      isStopped: {
        asked.withLock {
          $0 += 1
          return $0 > 1
        }
      }, notice: { _ in })
    let error = #expect(throws: TuningError.self) { try stopping.choose(for: program(ops[0], ops[1])) }
    #expect(error?.wasStopped == true)
    let report = try tuner(device).choose(for: program(ops[0], ops[1]))
    #expect(report.sites == 2 && report.measured == 1)
  }

  /// Tuning goes on where nothing can be stored, and says so.
  @Test func anUnwritableCacheIsSaid() throws {
    let device = try TestDevice.open()
    let file = scratch.file("file")
    try Data([1]).write(to: URL(fileURLWithPath: file))
    let op = Doubling(ways: [Self.slow, Self.good])
    let notices = Mutex<[String]>([])
    let tuner = Tuner(device, directory: URL(fileURLWithPath: file + "/below")) { text in
      notices.withLock { $0.append(text) }
    }
    #expect(try tuner.choose(for: program(op)).choices.names == [key(op): "good"])
    #expect(notices.withLock { $0.count } == 1)
    #expect(notices.withLock { $0[0].hasPrefix("measured kernels are not kept: ") })
  }

  /// Several processes at once: each gets the same choice and one measures.
  @Test func concurrentTuningsAgree() async throws {
    let op = Doubling(ways: [Self.slow, Self.good])
    let programs = try program(op)
    let (directory, key) = (directory, key(op))
    let devices = try (0..<3).map { _ in try TestDevice.open() }
    let reports = try await withThrowingTaskGroup(of: Tuner.Report.self) { group in
      for device in devices {
        group.addTask { try Tuner(device, directory: directory, notice: { _ in }).choose(for: programs) }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(reports.allSatisfy { $0.choices.names == [key: "good"] })
    #expect(reports.reduce(0) { $0 + $1.measured } == 1)
  }
}
