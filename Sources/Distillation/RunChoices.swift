import Foundation
import Graph
import Storage
import Tuning

/// Which kernels a run uses: decided once, and kept in its directory as `tuning.json`, so that a run that is continued
/// computes the same bits, whatever has been measured since.
package struct RunChoices: Sendable {
  /// What a person asked for.
  package enum Wish: Sendable {
    /// Measures what was not measured before.
    case tuned
    /// Measures everything again.
    case tunedAnew
    /// The default table.
    case untuned
  }

  package let choices: Choices
  /// What was measured for it now; nil for the default table.
  package let report: Tuner.Report?

  /// What differs from the run's beginning and cannot be helped.
  package let remark: String?

  private struct File: Codable {
    var format = 1
    /// False for a run that takes the default table throughout.
    var isTuned: Bool
    var names: [String: String] = [:]
    /// Of a software driver (`VectorWidth`), on which the order of sums depends.
    var vectorBits: Int?

    init(isTuned: Bool, vectorBits: Int? = nil) {
      self.isTuned = isTuned
      self.vectorBits = vectorBits
    }

    /// Nil if there is none.
    init?(in directory: String) throws(RunError) {
      let path = File.path(in: directory)
      guard let data = FileManager.default.contents(atPath: path) else { return nil }
      guard let file = try? JSONDecoder().decode(File.self, from: data), file.format == File(isTuned: true).format,
        file.vectorBits.map(VectorWidth.known.contains) ?? true
      else { throw RunError("\(path) is damaged or of another version; remove it to go on with the default kernels") }
      self = file
    }

    static func path(in directory: String) -> String { directory + "/tuning.json" }
  }

  /// The vector width of the run in a directory, nil if none was begun there.
  package static func vectorWidth(of directory: String) -> VectorWidth.Wish? {
    do throws(RunError) {
      if let file = try File(in: directory) { return file.vectorBits.map(VectorWidth.Wish.bits) ?? .driversOwn }
    } catch {
      // `init` refuses to go on.
      return .driversOwn
    }
    return RunDirectory.wasBegun(directory) ? .driversOwn : nil
  }

  /// Decides for the programs, or takes what an earlier start of the same run decided; programs that are new to the run are
  /// decided now.
  package init(
    _ wish: Wish, for programs: @autoclosure () throws(RunError) -> [(program: Program, runs: Int)],
    in directory: RunDirectory, with tuner: Tuner
  ) throws(RunError) {
    let bits = tuner.device.snapshot.vectorBits
    // A run of before there was a choice took the default table, and the driver's own vectors.
    var file =
      try File(in: directory.path)
      ?? (directory.wasBegun ? File(isTuned: false) : File(isTuned: wish != .untuned, vectorBits: bits))
    guard !directory.wasBegun || wish != .tunedAnew else {
      throw RunError("\(directory.path) holds a run whose kernels are chosen already; --retune is for a new run")
    }
    if file.isTuned, wish != .untuned {
      let made = try programs()
      let report = try RunChoices.choose(tuner, made, decided: Choices(file.names), anew: wish == .tunedAnew)
      file.names = report.choices.names
      self.report = report
    } else {
      report = nil
    }
    choices = Choices(file.names)
    remark = file.vectorBits.flatMap { began in
      began == bits
        ? nil
        : "\(directory.path) began with vectors of \(began) bits and goes on with \(bits.map { "\($0)" } ?? "another driver"): "
          + "its numbers are no longer those of an uninterrupted run"
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(file) else { preconditionFailure("strings that are no JSON") }
    try attempt { () throws(StorageError) in
      try AtomicFile.write(to: File.path(in: directory.path)) { (file) throws(StorageError) in
        try file.write(Array(data))
      }
    }
  }

  private static func choose(
    _ tuner: Tuner, _ programs: [(program: Program, runs: Int)], decided: Choices, anew: Bool
  ) throws(RunError) -> Tuner.Report {
    do throws(TuningError) {
      return try tuner.choose(for: programs, decided: decided, anew: anew)
    } catch {
      throw error.wasStopped ? RunError(stopped: "\(error)") : RunError("\(error)")
    }
  }
}
