import Foundation
import Testing

@testable import Storage

@Suite struct StorageJSONLinesTests {
  private struct Row: Codable, Equatable {
    var phase: String
    var step: Int
    var loss: Float
  }

  let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  @Test func appendsSortedLines() throws {
    let log = try JSONLines(directory.file("metrics.jsonl"))
    try log.append(Row(phase: "m2mKD", step: 1, loss: 0.1))
    try log.append(["z": 1.5, "a": -.infinity])
    #expect(
      String(decoding: try bytes(of: log.path), as: UTF8.self)
        == "{\"loss\":0.1,\"phase\":\"m2mKD\",\"step\":1}\n{\"a\":\"-inf\",\"z\":1.5}\n")
  }

  @Test func notANumberReturns() throws {
    let log = try JSONLines(directory.file("metrics.jsonl"))
    try log.append(Row(phase: "PT", step: 1, loss: .nan))
    #expect(try log.rows(as: Row.self)[0].loss.isNaN)
  }

  @Test func tornLineIsRemovedWhereverItTore() throws {
    let line = Array("{\"loss\":1,\"phase\":\"PT\",\"step\":1}\n".utf8)
    for torn in 0..<line.count {
      let path = try directory.file("metrics.jsonl", line + line.prefix(torn))
      let log = try JSONLines(path)
      try log.append(Row(phase: "PT", step: 2, loss: 1))
      #expect(try log.rows(as: Row.self).map(\.step) == [1, 2])
    }
    let path = try directory.file("metrics.jsonl", Array(line.dropLast()))
    #expect(try JSONLines(path).rows(as: Row.self) == [])
  }

  @Test func removesRowsWhereverTheyAre() throws {
    let log = try JSONLines(directory.file("metrics.jsonl"))
    for phase in ["PT", "FT"] { for step in 0..<3 { try log.append(Row(phase: phase, step: step, loss: 1)) } }
    try log.remove { (row: Row) in row.phase == "PT" && row.step > 0 }
    #expect(try log.rows(as: Row.self).map { "\($0.phase)\($0.step)" } == ["PT0", "FT0", "FT1", "FT2"])
    try log.remove { (_: Row) in false }
    #expect(try log.rows(as: Row.self).count == 4)
    try log.append(Row(phase: "PT", step: 1, loss: 1))
    #expect(try log.rows(as: Row.self).map { "\($0.phase)\($0.step)" } == ["PT0", "FT0", "FT1", "FT2", "PT1"])
    try log.remove { (_: Row) in true }
    #expect(try bytes(of: log.path).isEmpty)
  }

  @Test func brokenLineIsNamed() throws {
    let path = try directory.file("metrics.jsonl", Array("{\"loss\":1,\"phase\":\"PT\",\"step\":1}\nxx\n".utf8))
    let log = try JSONLines(path)
    let error = storageError(naming: "line 2") { _ = try log.rows(as: Row.self) }
    #expect(error != nil)
    #expect(storageError(naming: path) { try log.remove { (_: Row) in false } } != nil)
  }

  @Test func fullDeviceSaysSo() throws {
    let log = try JSONLines("/dev/full")
    let error = storageError(naming: "no space left on device while writing /dev/full") { try log.append(["a": 1.0]) }
    #expect(error != nil)
  }

  /// The part of a line that still fitted is taken back, so the log stays whole.
  @Test func halfWrittenLineIsTakenBack() async throws {
    let line = Array("{\"a\":1}\n".utf8)
    let path = try directory.file("metrics.jsonl", line)
    await #expect(processExitsWith: .success) { [path = path as String] in
      signal(SIGXFSZ, SIG_IGN)
      let log = try JSONLines(path)
      var limit = rlimit(rlim_cur: 12, rlim_max: 12)
      setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
      do throws(StorageError) { try log.append(["b": 2.0]) } catch { exit(0) }
      exit(1)
    }
    #expect(try bytes(of: path) == line)
  }
}
