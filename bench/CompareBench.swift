import ArgumentParser
import Foundation

struct CompareBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare", abstract: "Compare two files of `graft bench … --json`, row by row.")

  @Argument(help: "The rows before.") var before: String
  @Argument(help: "The rows after.") var after: String

  func run() throws {
    print(Comparison(try Row.rows(of: before), try Row.rows(of: after)).text(before, after))
  }
}

/// Rows of two files, matched by what was measured.
struct Comparison {
  struct Pair {
    let before: Row
    let after: Row

    /// How many times as fast the row is now.
    var speedup: Double { before.medianMilliseconds / after.medianMilliseconds }

    /// Whether the medians differ by more than both spreads together.
    var isOutsideSpread: Bool {
      let (a, b) = (before, after)
      return abs(a.medianMilliseconds - b.medianMilliseconds) > a.spread * a.medianMilliseconds
        + b.spread * b.medianMilliseconds
    }

    /// What else differs.
    var remark: String {
      [
        before.family == after.family ? "" : "\(before.family) -> \(after.family)",
        before.device == after.device ? "" : "\(before.device) -> \(after.device)",
        before.driver == after.driver ? "" : "\(before.driver) -> \(after.driver)",
      ].filter { !$0.isEmpty }.joined(separator: ", ")
    }
  }

  private(set) var pairs: [Pair] = []
  /// Rows that the other file has no counterpart of.
  private(set) var onlyBefore: [Row]
  private(set) var onlyAfter: [Row]

  /// Rows of the same op, case, shape, type and caches belong together; first those of the same family and device, then
  /// the ones that differ in these, where only one of each file is left.
  init(_ before: [Row], _ after: [Row]) {
    onlyBefore = before
    onlyAfter = after
    func work(_ row: Row) -> [String] { [row.op, row.case, row.shape, row.dtype, row.cold ? "cold" : ""] }
    match { work($0) + [$0.family, $0.device] }
    match { work($0) + [$0.device] }
    match { work($0) + [$0.family] }
    match(work)
    pairs.sort { ($0.before.op, $0.before.case) < ($1.before.op, $1.before.case) }
  }

  private mutating func match(_ key: (Row) -> [String]) {
    let (old, new) = (Dictionary(grouping: onlyBefore, by: key), Dictionary(grouping: onlyAfter, by: key))
    var matched: Set<[String]> = []
    for row in onlyBefore {
      guard let a = old[key(row)], let b = new[key(row)], a.count == 1, b.count == 1 else { continue }
      pairs.append(Pair(before: a[0], after: b[0]))
      matched.insert(key(row))
    }
    onlyBefore.removeAll { matched.contains(key($0)) }
    onlyAfter.removeAll { matched.contains(key($0)) }
  }

  func text(_ before: String, _ after: String) -> String {
    var lines = [
      "\(Table.pad("op", 22)) \(Table.pad("case", 44))  before ms    after ms  speed-up"
    ]
    for pair in pairs {
      let verdict = pair.isOutsideSpread ? (pair.speedup > 1 ? "faster" : "SLOWER") : "within spread"
      lines.append(
        "\(Table.pad(pair.before.op, 22)) \(Table.pad(pair.before.case, 44))"
          + String(
            format: "%11.4f %11.4f %8.3fx  ", pair.before.medianMilliseconds, pair.after.medianMilliseconds,
            pair.speedup)
          + verdict + (pair.remark.isEmpty ? "" : " (\(pair.remark))"))
    }
    for (rows, path) in [(onlyBefore, before), (onlyAfter, after)] {
      for row in rows { lines.append("only in \(path): \(row.op) \(row.case) \(row.family), \(row.device)") }
    }
    let logs = pairs.map { log($0.speedup) }
    if !logs.isEmpty {
      lines.append(
        String(
          format: "%d rows, %d faster, %d slower, geometric mean of the speed-ups %.3f", pairs.count,
          pairs.count { $0.isOutsideSpread && $0.speedup > 1 }, pairs.count { $0.isOutsideSpread && $0.speedup < 1 },
          exp(logs.reduce(0, +) / Double(logs.count))))
    }
    return lines.joined(separator: "\n")
  }
}
