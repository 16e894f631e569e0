import Foundation
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

  @Test func difference() throws {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("graft-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    let text = try String(contentsOfFile: "\(golden)/all_08_lr.json", encoding: .utf8)
    try text.replacing("\"min_lr\": 1e-05", with: "\"min_lr\": 1.0001e-05")
      .write(to: directory.appendingPathComponent("case.json"), atomically: true, encoding: .utf8)
    try FileManager.default.copyItem(
      atPath: "\(golden)/all_08_lr.safetensors", toPath: directory.appendingPathComponent("case.safetensors").path)
    let run = try Binary.run("verify", directory.path)
    #expect(run.code == 1)
    #expect(run.output.contains("FAIL case"))
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
