import Foundation
import GPU
import Graph
import Storage
import Tuning

/// One invocation of a bench: the device, its peak, and where rows go.
final class Session {
  let options: BenchOptions
  let device: Device
  let peak: Peak?
  private var rows: [Row] = []
  private let commit = builtCommit()

  /// Opens the device, says which one runs, and measures its peak if that is asked for.
  /// - Parameter precision: what counts where the options say nothing.
  init(_ options: BenchOptions, _ precision: Precision = .f32) throws {
    self.options = options
    let isJSON = options.json
    let width = VectorWidth.settle(options.tune ? .measured : .driversOwn, device: options.device) {
      Session.tell($0, aside: isJSON)
    }
    let precision = options.precision ?? precision
    device = try Device.open(options.device, precision: precision)
    let snapshot = device.snapshot
    width.check(snapshot) { Session.tell($0, aside: isJSON) }
    let kind = snapshot.kind == .cpu ? "software" : snapshot.kind.rawValue
    let clock = device.plan.hasTimestamps ? "" : "; no time stamps: times are of the host's clock"
    let peak = options.peak ? try Peak(of: device, seconds: min(options.seconds, 0.5)) : nil
    self.peak = peak
    note("device: \(snapshot.name), driver \(snapshot.driverName) \(snapshot.driverInfo) (\(kind))\(clock)")
    if let text = device.precisionNote(asked: precision) { note(text) }
    if let peak {
      let kind = device.traits.precision == .mixed ? "by matrix units" : "f32"
      note(String(format: "measured peak: %.1f GFLOP/s %@, %.1f GB/s", peak.gflops, kind as NSString, peak.gbps))
    }
  }

  /// A line for a person: beside the table, or on standard error where JSON goes to standard output.
  func note(_ text: String) { Session.tell(text, aside: options.json) }

  private static func tell(_ text: String, aside: Bool) {
    if aside {
      FileHandle.standardError.write(Data((text + "\n").utf8))
    } else {
      print(text)
    }
    fflush(nil)
  }

  /// Reports what was measured.
  /// - Parameter cost: of one run; its rates are left out where it is zero.
  @discardableResult
  func report(
    op: String, case name: String, shape: String, dtype: String = "f32", family: String, _ timings: Timings,
    cost: Cost = Cost(flops: 0, bytes: 0), error: Double? = nil, relative: [String: Double] = [:],
    of other: (device: String, driver: String)? = nil, step: Row.Step? = nil
  ) -> Row {
    let snapshot = device.snapshot
    let (flops, bytes) = (Double(cost.flops), Double(cost.bytes))
    let (median, cpu) = (timings.median, timings.cpuMedian)
    let bound = peak.map { max(flops / (1e9 * $0.gflops), bytes / (1e9 * $0.gbps)) }
    let row = Row(
      op: op, case: name, shape: shape, dtype: dtype, family: family, device: other?.device ?? snapshot.name,
      driver: other?.driver ?? "\(snapshot.driverName) \(snapshot.driverInfo)", commit: commit,
      medianMilliseconds: rounded(1e3 * median), minMilliseconds: rounded(1e3 * timings.min),
      spread: rounded(timings.spread), cpuMilliseconds: cpu.isFinite ? rounded(1e3 * cpu) : nil,
      gflops: flops > 0 ? rounded(1e-9 * flops / median) : nil,
      gbps: bytes > 0 ? rounded(1e-9 * bytes / median) : nil,
      peakFraction: bound.flatMap { $0 > 0 && other == nil ? rounded($0 / median) : nil },
      maxError: error.flatMap { $0.isFinite ? rounded($0) : nil }, clock: timings.hasTimestamps ? "device" : "host",
      cold: options.cold, samples: timings.device.count, relative: relative.mapValues(rounded), step: step)
    if options.json {
      print(row.json)
    } else {
      if rows.isEmpty { print(Table.header) }
      print(Table.line(row))
    }
    fflush(nil)
    rows.append(row)
    return row
  }

  /// Draws the picture, if one is asked for.
  func finish() throws {
    guard let path = options.plot, let peak else { return }
    let title = "\(device.snapshot.name), \(device.snapshot.driverName), commit \(commit)"
    let svg = Roofline(title: title, peak: peak, rows: rows).svg
    try AtomicFile.write(to: path) { (file) throws(StorageError) in try file.write(Array(svg.utf8)) }
    note("roofline: \(path)")
  }
}

/// To six digits: more is noise, and makes files that differ for no reason.
private func rounded(_ x: Double) -> Double { Double(String(format: "%.6g", x)) ?? x }

/// What git says of the checkout that the binary lies in, e.g. `3c32523-dirty`; a build cannot embed it.
private func builtCommit() -> String {
  guard let binary = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") else {
    return "unknown"
  }
  let git = Process()
  git.executableURL = URL(fileURLWithPath: "/usr/bin/env")
  git.arguments = [
    "git", "-C", URL(fileURLWithPath: binary).deletingLastPathComponent().path, "describe", "--always", "--dirty",
    "--exclude=*",
  ]
  let output = Pipe()
  git.standardOutput = output
  git.standardError = FileHandle.nullDevice
  guard (try? git.run()) != nil else { return "unknown" }
  let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  git.waitUntilExit()
  let name = text.trimmingCharacters(in: .whitespacesAndNewlines)
  return git.terminationStatus == 0 && !name.isEmpty ? name : "unknown"
}

/// Rows as lines for a person.
enum Table {
  private static let columns: [(title: String, width: Int)] = [
    ("op", 22), ("case", 44), ("family", 20),
  ]

  static var header: String {
    columns.map { pad($0.title, $0.width) }.joined(separator: " ")
      + "   median ms     best ms  spread      cpu ms  GFLOP/s     GB/s  of peak    error"
  }

  static func line(_ row: Row) -> String {
    func number(_ x: Double?, _ format: String, _ width: Int) -> String {
      let text = x.map { String(format: format, $0) } ?? "-"
      return String(repeating: " ", count: max(1, width - text.count)) + text
    }
    return zip([row.op, row.case, row.family], columns).map { pad($0, $1.width) }.joined(separator: " ")
      + number(row.medianMilliseconds, "%.4f", 12) + number(row.minMilliseconds, "%.4f", 12)
      + number(100 * row.spread, "%.0f %%", 8) + number(row.cpuMilliseconds, "%.4f", 12)
      + number(row.gflops, "%.2f", 9) + number(row.gbps, "%.2f", 9)
      + number(row.peakFraction.map { 100 * $0 }, "%.0f %%", 9) + number(row.maxError, "%.0e", 9)
  }

  /// Longer text is kept: a name that is cut cannot be looked for.
  static func pad(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }
}
