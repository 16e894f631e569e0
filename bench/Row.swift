import Foundation
import Storage

/// One measurement: a line of `--json`. What was not measured, or means nothing for the case, is null.
package struct Row: Codable, Sendable {
  package var op: String
  package var `case`: String
  /// Extents of what the op reads, or MxNxK.
  package var shape: String
  package var dtype: String = "f32"
  /// The variant that ran, or the other system.
  package var family: String
  package var device: String
  package var driver: String
  package var commit: String
  package var medianMilliseconds: Double
  package var minMilliseconds: Double
  /// The distance between the quartiles, as a fraction of the median.
  package var spread: Double
  /// Processor time of this process per run, all threads together.
  package var cpuMilliseconds: Double?
  package var gflops: Double?
  package var gbps: Double?
  /// The time that the measured peak and bandwidth allow at best, as a fraction of the median: above 1 where caches beat
  /// the bandwidth of memory.
  package var peakFraction: Double?
  /// Largest |result - expected|, relative to max(1, largest |expected|).
  package var maxError: Double?
  /// `device` for time stamps of the device, `host` for the host's clock around submission and wait.
  package var clock: String
  package var cold = false
  /// Runs that were timed.
  package var samples: Int
  /// Speed as a fraction of other families' in the same alternation, of the best run of each.
  package var relative: [String: Double] = [:]
  /// Of a row that is a whole training step.
  package var step: Step?

  package struct Step: Codable, Sendable {
    /// Processor time of the thread that submits a step.
    package var hostMilliseconds: Double
    package var dispatches: Int
    package var barriers: Int

    package enum CodingKeys: String, CodingKey {
      case hostMilliseconds = "host_ms"
      case dispatches, barriers
    }
  }

  package enum CodingKeys: String, CodingKey, CaseIterable {
    case op, `case`, shape, dtype, family, device, driver, commit
    case medianMilliseconds = "median_ms"
    case minMilliseconds = "min_ms"
    case spread
    case cpuMilliseconds = "cpu_ms"
    case gflops, gbps
    case peakFraction = "peak_fraction"
    case maxError = "max_error"
    case clock, cold, samples, relative, step
  }

  /// As synthesised, but what is nil is written as null: every line has every key; `step` is of steps alone.
  package func encode(to encoder: any Encoder) throws {
    var line = encoder.container(keyedBy: CodingKeys.self)
    try line.encode(op, forKey: .op)
    try line.encode(self.case, forKey: .case)
    try line.encode(shape, forKey: .shape)
    try line.encode(dtype, forKey: .dtype)
    try line.encode(family, forKey: .family)
    try line.encode(device, forKey: .device)
    try line.encode(driver, forKey: .driver)
    try line.encode(commit, forKey: .commit)
    try line.encode(medianMilliseconds, forKey: .medianMilliseconds)
    try line.encode(minMilliseconds, forKey: .minMilliseconds)
    try line.encode(spread, forKey: .spread)
    try line.encode(cpuMilliseconds, forKey: .cpuMilliseconds)
    try line.encode(gflops, forKey: .gflops)
    try line.encode(gbps, forKey: .gbps)
    try line.encode(peakFraction, forKey: .peakFraction)
    try line.encode(maxError, forKey: .maxError)
    try line.encode(clock, forKey: .clock)
    try line.encode(cold, forKey: .cold)
    try line.encode(samples, forKey: .samples)
    try line.encode(relative, forKey: .relative)
    try line.encodeIfPresent(step, forKey: .step)
  }

  /// One line, keys in alphabetical order, numbers to six digits.
  package var json: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let line = try? encoder.encode(self) else { preconditionFailure("a row that JSON cannot hold: \(self)") }
    return String(decoding: line, as: UTF8.self)
  }

  /// The rows of a file of JSON lines.
  package static func rows(of path: String) throws(BenchError) -> [Row] {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
      throw BenchError("\(path): cannot be read: no such file, or not text")
    }
    var rows: [Row] = []
    for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
    where !line.isEmpty {
      do {
        rows.append(try JSONDecoder().decode(Row.self, from: Data(line.utf8)))
      } catch {
        throw BenchError("\(path):\(number + 1): \(reason(error)); expected the lines of `graft bench … --json`")
      }
    }
    guard !rows.isEmpty else { throw BenchError("\(path): no rows; expected the lines of `graft bench … --json`") }
    return rows
  }

  private static func reason(_ error: any Error) -> String {
    switch error {
    case DecodingError.keyNotFound(let key, _): "no '\(key.stringValue)'"
    case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context):
      "'\(context.codingPath.map(\.stringValue).joined(separator: "."))' is of the wrong kind"
    default: "no JSON object"
    }
  }
}

/// What a person asked of a bench that cannot be done, in one line.
package struct BenchError: Error, Sendable, CustomStringConvertible {
  package let description: String
  package init(_ description: String) { self.description = description }
}
