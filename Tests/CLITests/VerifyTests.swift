import Foundation
import TestSupport
import Testing

/// `graft verify` as a process: its exit codes and what it says on which stream.
@Suite(.enabled(if: FileManager.default.isExecutableFile(atPath: Binary.graft)))
struct VerifyTests {
  private let golden = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fixtures/golden").path

  @Test func agreement() throws {
    let run = try Binary.run("verify", "\(golden)/all_08_lr.json", "\(golden)/shared_12_losses.json")
    #expect(run.code == 0, "\(run.errors)")
    #expect(run.output.hasPrefix("device: "))
    #expect(run.output.contains("PASS all_08_lr") && run.output.contains("PASS shared_12_losses"))
  }

  /// `graft verify` of a case whose JSON says something else.
  private func verify(
    _ name: String, replacing original: String, with changed: String
  ) throws -> (code: Int32, output: String, errors: String) {
    let directory = try TemporaryDirectory()
    let text = try String(contentsOfFile: "\(golden)/\(name).json", encoding: .utf8)
    try #require(text.contains(original))
    try text.replacing(original, with: changed)
      .write(toFile: directory.path + "/case.json", atomically: true, encoding: .utf8)
    try FileManager.default.copyItem(
      atPath: "\(golden)/\(name).safetensors", toPath: directory.path + "/case.safetensors")
    return try withExtendedLifetime(directory) { try Binary.run("verify", directory.path) }
  }

  @Test func difference() throws {
    let run = try verify("all_08_lr", replacing: "\"min_lr\": 1e-05", with: "\"min_lr\": 1.0001e-05")
    #expect(run.code == 1)
    #expect(run.output.contains("FAIL case"))
  }

  /// A case with an option that Graft does not have would be recomputed wrongly.
  @Test(arguments: [
    ("\"use_geglu\": true", "\"use_geglu\": false", "use_geglu is false, and Graft's circuits have true alone"),
    ("\"iters\": 3", "\"iters\": 2", "config.nac.iters is 2"),
    ("\"trunc\": 0.9", "\"trunc\": 0.8", "config.nac.trunc is 0.8, and kernel_kwargs.truncation 0.9"),
  ])
  func otherCircuits(original: String, changed: String, message: String) throws {
    let run = try verify("shared_06_nac_full", replacing: original, with: changed)
    #expect(run.code == 2)
    #expect(run.errors.split(separator: "\n").count == 1 && run.errors.contains(message), "\(run.errors)")
  }

  @Test func unusable() throws {
    let run = try Binary.run("verify", "\(golden)/none.json", "\(golden)/all_08_lr.json")
    #expect(run.code == 2)
    #expect(run.output.contains("PASS all_08_lr"))
    #expect(run.errors.split(separator: "\n").count == 1 && run.errors.contains("none.json: no such file"))
  }
}

/// The built command line tool, which lies beside the tests.
enum Binary {
  static let graft = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
    .appendingPathComponent("graft").path

  static func run(_ arguments: String...) throws -> (code: Int32, output: String, errors: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: graft)
    process.arguments = arguments
    let (output, errors) = (Pipe(), Pipe())
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    let complaints = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return (process.terminationStatus, text, complaints)
  }
}
