import Foundation
import GPU
import Storage
import Testing

@testable import Tuning

@Suite struct TuningStoreTests {
  private let scratch: TemporaryDirectory
  private var directory: URL { URL(fileURLWithPath: scratch.path) }

  init() throws { scratch = try TemporaryDirectory() }

  private static let device = DeviceSnapshot(name: "card", kind: .discrete)

  /// What is read, with the notices that reading gave.
  private func read(_ device: DeviceSnapshot = device) -> (store: TuningStore, notices: [String]) {
    var notices: [String] = []
    let store = TuningStore(device, directory: directory) { notices.append($0) }
    return (store, notices)
  }

  /// Writes a store with one record.
  @discardableResult
  private func write(_ device: DeviceSnapshot = device) throws -> TuningStore {
    var store = read(device).store
    store.records["matmul [2, 2]"] = TuningStore.Record(
      fingerprint: "f00", extents: [[2, 2]], chosen: "tiles", date: "2026-01-01",
      trials: [
        .init(name: "lanes", medianSeconds: 2e-3), .init(name: "tiles", medianSeconds: 1e-3, error: 3e-7),
        .init(name: "wide", rejected: "too wide"),
      ])
    try store.save()
    return store
  }

  /// What was measured with rounded factors says nothing of f32.
  @Test func eachPrecisionHasAFileOfItsOwn() throws {
    let written = try write()
    let mixed = TuningStore(Self.device, .mixed, directory: directory) { Issue.record("\($0)") }
    #expect(mixed.path != written.path && mixed.records.isEmpty)
  }

  @Test func whatIsWrittenIsRead() throws {
    #expect(read().store.records.isEmpty && read().notices.isEmpty)
    let written = try write()
    let (store, notices) = read()
    #expect(store.records == written.records && notices.isEmpty)
    #expect(store.choices.names == ["matmul [2, 2]": "tiles"])
  }

  /// What a measurement depends on besides the kernels has a file of its own.
  @Test func everyDeviceAndDriverHasItsOwn() throws {
    try write()
    for change: (inout DeviceSnapshot) -> Void in [
      { $0.name = "other" }, { $0.driverVersion = 7 }, { $0.driverInfo = "2" }, { $0.pipelineCacheUUID = [1] },
      { $0.subgroups.size = 4 },
    ] {
      var device = Self.device
      change(&device)
      let (store, notices) = read(device)
      #expect(store.records.isEmpty && notices.isEmpty)
    }
  }

  @Test(arguments: ["", "{", "[]", "nonsense", "{\"format\": \"one\"}"]) func damagedFilesCountAsNone(_ text: String)
    throws
  {
    let path = try write().path
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    let (store, notices) = read()
    #expect(store.records.isEmpty && notices == ["\(path) is damaged: kernels are measured again"])
    try write()
    #expect(read().store.records.count == 1 && read().notices.isEmpty)
  }

  @Test func truncatedFilesCountAsNone() throws {
    let path = try write().path
    let whole = try Data(contentsOf: URL(fileURLWithPath: path))
    for count in stride(from: 1, to: whole.count - 1, by: 7) {
      try whole.prefix(count).write(to: URL(fileURLWithPath: path))
      #expect(read().store.records.isEmpty && read().notices.count == 1, "\(count) bytes")
    }
  }

  /// Of a newer Graft, of another device under this one's name, with a record of another shape.
  @Test(arguments: [("\"format\" : 1", "\"format\" : 2"), ("card", "cord"), ("\"trials\"", "\"tests\"")])
  func otherVersionsCountAsNone(_ old: String, _ new: String) throws {
    let path = try write().path
    let text = try String(contentsOfFile: path, encoding: .utf8)
    try #require(text.contains(old), "\(text)")
    try text.replacingOccurrences(of: old, with: new).write(toFile: path, atomically: true, encoding: .utf8)
    let (store, notices) = read()
    #expect(store.records.isEmpty && notices == ["\(path) is of another version: kernels are measured again"])
  }

  @Test func aFatalTrialIsKeptUntilTheKernelChanges() throws {
    var store = read().store
    store.reject("tiles", "site", "f00", "lost the device")
    store.reject("lanes", "site", "f00", "lost the device")
    #expect(store.fatalTrials("site", "f00").map(\.name) == ["tiles", "lanes"])
    #expect(store.fatalTrials("site", "f01").isEmpty && store.choices.names.isEmpty)
  }

  @Test func theLockTellsWhatWasNotSurvived() throws {
    let path = scratch.path + "/made/here.lock"
    var lock: TuningLock? = try TuningLock(path) { Issue.record("nobody else is there") }
    #expect(lock?.interrupted == nil)
    try Data("key\nf00\ntiles\n".utf8).write(to: URL(fileURLWithPath: path))
    lock = nil
    lock = try TuningLock(path) { Issue.record("it was released") }
    #expect(lock?.interrupted?.variant == "tiles" && lock?.interrupted?.key == "key")
    lock?.end()
    lock = nil
    #expect(try TuningLock(path) {}.interrupted == nil)
  }

  @Test func anUnwritableDirectoryIsNamed() throws {
    let file = try scratch.file("file", [1])
    let store = TuningStore(Self.device, directory: URL(fileURLWithPath: file + "/below")) { _ in }
    let error = #expect(throws: StorageError.self) { try store.save() }
    #expect(error?.description.contains(file) == true)
    #expect(throws: StorageError.self) { _ = try TuningLock(store.path + ".lock") {} }
  }
}
