import Distillation
import Foundation
import Storage
import TestSupport
import Testing
import Tuning

/// The binary under test, beside the test runner.
enum Graft {
  static let binary: URL = {
    let beside = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent()
      .appendingPathComponent("graft")
    if FileManager.default.isExecutableFile(atPath: beside.path) { return beside }
    return URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent(".build/debug/graft")
  }()

  struct Outcome {
    let status: Int32
    let output: String
    let errors: String
  }

  /// Runs to the end.
  static func run(_ arguments: String..., environment: [String: String] = [:], in directory: TemporaryDirectory) throws
    -> Outcome
  {
    try start(arguments, environment: environment, in: directory).wait()
  }

  /// - Parameter tuned: measures kernels first, which takes long and depends on the machine.
  static func start(
    _ arguments: [String], environment: [String: String] = [:], in directory: TemporaryDirectory,
    under shell: String? = nil, tuned: Bool = false
  ) throws -> Running {
    let untuned = arguments.first == "run" && !tuned ? ["--no-tune"] : []
    // A width that was measured is nothing that other tests should depend on.
    let own = tuned ? nil : (try? TestDevice.shared.get())?.snapshot.vectorBits
    let width = own.map { [VectorWidth.variable: String($0)] } ?? [:]
    return try Running(
      arguments + untuned, environment: width.merging(environment) { $1 }, in: directory, under: shell)
  }
}

/// A started process; its output goes to files, so that it never waits for its reader.
final class Running {
  private let process = Process()
  private let files: (output: String, errors: String)

  init(_ arguments: [String], environment: [String: String], in directory: TemporaryDirectory, under shell: String?)
    throws
  {
    let name = UUID().uuidString
    files = (directory.file("\(name).out"), directory.file("\(name).err"))
    process.executableURL = shell == nil ? Graft.binary : URL(fileURLWithPath: "/bin/sh")
    // The shell sets what the process inherits and then becomes it; `env` undoes that a parent ignores the signal.
    process.arguments =
      shell.map { ["-c", "\($0); exec env --default-signal=XFSZ \"$0\" \"$@\"", Graft.binary.path] + arguments }
      ?? arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.currentDirectoryURL = URL(fileURLWithPath: directory.path)
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try Self.handle(files.output)
    process.standardError = try Self.handle(files.errors)
    try process.run()
  }

  private static func handle(_ path: String) throws -> FileHandle {
    FileManager.default.createFile(atPath: path, contents: nil)
    return try #require(FileHandle(forWritingAtPath: path))
  }

  var output: String { (try? String(contentsOfFile: files.output, encoding: .utf8)) ?? "" }
  var isRunning: Bool { process.isRunning }
  /// The processes that it has started and that run, the first one first.
  var children: [Int32] {
    let id = process.processIdentifier
    return ((try? String(contentsOfFile: "/proc/\(id)/task/\(id)/children", encoding: .utf8)) ?? "")
      .split(separator: " ").compactMap { Int32($0) }
  }
  func send(_ signal: Int32) { kill(process.processIdentifier, signal) }

  /// Until the output has `text`, or the process has ended.
  func wait(for text: String) { while isRunning && !output.contains(text) { usleep(2000) } }

  func wait() -> Graft.Outcome {
    process.waitUntilExit()
    let errors = (try? String(contentsOfFile: files.errors, encoding: .utf8)) ?? ""
    return Graft.Outcome(
      status: process.terminationReason == .uncaughtSignal ? -process.terminationStatus : process.terminationStatus,
      output: output, errors: errors)
  }
}

extension TemporaryDirectory {
  func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: file(name)) }
  func bytes(_ name: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: file(name))) }
  func names(_ name: String) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: file(name))) ?? []).sorted()
  }

  @discardableResult
  func write(_ name: String, _ bytes: Data) throws -> String {
    let url = URL(fileURLWithPath: file(name))
    try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try bytes.write(to: url)
    return url.path
  }

  /// A small set in the format of Fashion-MNIST: 240 + 60 images whose class shows in a bright row.
  func writeImages(_ directory: String = "data") throws {
    try FileManager.default.createDirectory(atPath: file(directory), withIntermediateDirectories: true)
    for (stem, count) in [("train", 240), ("t10k", 60)] {
      var images: [UInt8] = [0, 0, 8, 3, 0, 0, 0, UInt8(count), 0, 0, 0, 28, 0, 0, 0, 28]
      var labels: [UInt8] = [0, 0, 8, 1, 0, 0, 0, UInt8(count)]
      var noise: UInt32 = 1
      for i in 0..<count {
        labels.append(UInt8(i % 10))
        for pixel in 0..<784 {
          noise = noise &* 1_664_525 &+ 1_013_904_223
          images.append(UInt8((pixel / 28 / 2 == i % 10 ? 120 : 0) + Int(noise >> 25)))
        }
      }
      try write("\(directory)/\(stem)-images-idx3-ubyte.gz", Data(images))
      try write("\(directory)/\(stem)-labels-idx1-ubyte.gz", Data(labels))
    }
  }

  /// A recipe of two pairs that trains in a second.
  func writeRecipe(
    _ name: String = "recipe.yml", data: String = "data", steps: Int = 3, batch: Int = 8, studentImages: Int? = nil,
    extra: String = ""
  ) throws {
    let phase = "{steps: \(steps), batch: \(batch), learning_rate: 1.0e-3, warmup: 1}"
    let few = studentImages.map { ", student_images: \($0)" } ?? ""
    let text = """
      name: small
      data: {set: fashion-mnist, directory: \(data), validation: 40\(few)}
      image: {size: 28, channels: 1, patch: 14, classes: 10, mean: [0.3], std: [0.3]}
      initialization: {linear_std: 0.1, experts: linear}
      meta: {depths: [1, 1]}
      teacher: {features: 16, heads: 2, mlp_ratio: 1, depths: [1, 1]}
      student: {features: 16, heads: 2, mlp_ratio: 1, depths: [1, 1], experts: 2, keep_stitches: true}
      checkpoint_every: 2
      \(extra)
      phases:
        PT: \(phase)
        MT: \(phase)
        FT: \(phase)
        m2mKD: \(phase)
        E2E: \(phase)
      """
    try write(name, Data(text.utf8))
  }

  /// The metrics without what the clock decides.
  private func metrics(_ run: String) throws -> [String] {
    try JSONLines(file("\(run)/metrics.jsonl")).rows(as: MetricsRow.self).map { row in
      var row = row
      row.seconds = nil
      row.hostMilliseconds = nil
      if row.event == .task { row.images = nil }
      return "\(row)"
    }
  }

  /// The same checkpoints and metrics in two run directories.
  func expectSame(_ run: String, as whole: String) throws {
    let checkpoints = names("\(whole)/checkpoints")
    #expect(checkpoints.count == 8)
    #expect(names("\(run)/checkpoints") == checkpoints)
    for name in checkpoints {
      #expect(try bytes("\(run)/checkpoints/\(name)") == bytes("\(whole)/checkpoints/\(name)"), "\(name)")
    }
    #expect(try metrics(run) == metrics(whole))
  }
}

/// What every refusal has in common: a status, one line on standard error, no trace of a crash.
func expectRefusal(
  _ outcome: Graft.Outcome, _ text: String, status: Int32? = nil, sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(outcome.status > 0, "\(outcome)", sourceLocation: sourceLocation)
  if let status { #expect(outcome.status == status, sourceLocation: sourceLocation) }
  #expect(
    outcome.errors.hasPrefix("error: ") && outcome.errors.hasSuffix("\n"), "\(outcome)", sourceLocation: sourceLocation)
  #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)", sourceLocation: sourceLocation)
  #expect(outcome.errors.contains(text), "\(outcome.errors)", sourceLocation: sourceLocation)
}
