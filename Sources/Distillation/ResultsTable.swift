import Foundation

/// The table a run ends with, in Markdown so that it reads the same in a terminal and in a document.
package struct ResultsTable: Sendable {
  package struct Row: Sendable {
    package let title: String
    package let validation: Evaluation?
    package let test: Evaluation
    /// Mean top-1 on corrupted test images.
    package let corrupted: Double?
    /// Steps of each task that led to the model.
    package let steps: [Int]
    package let seconds: Double
  }

  package let rows: [Row]

  /// A line under the table.
  package let note: String?

  package init(_ rows: [Row], note: String? = nil) {
    self.rows = rows
    self.note = note
  }

  package var text: String {
    let hasCorrupted = rows.contains { $0.corrupted != nil }
    let header =
      ["model", "validation top-1", "test top-1"] + (hasCorrupted ? ["corrupted top-1"] : [])
      + ["test top-5", "test loss", "steps", "time"]
    let cells = rows.map { row in
      [row.title, row.validation.map { percent($0.top1) } ?? "-", percent(row.test.top1)]
        + (hasCorrupted ? [row.corrupted.map(percent) ?? "-"] : [])
        + [
          percent(row.test.top5), String(format: "%.4f", row.test.loss),
          row.steps.map(String.init).joined(separator: "+"), String(format: "%.0f s", row.seconds),
        ]
    }
    let widths = header.indices.map { c in ([header] + cells).map { $0[c].count }.max() ?? 0 }
    func line(_ cells: [String]) -> String {
      "| " + zip(cells, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }.joined(separator: " | ")
        + " |"
    }
    let rule = "|" + widths.map { String(repeating: "-", count: $0 + 2) }.joined(separator: "|") + "|"
    return ([line(header), rule] + cells.map(line) + (note.map { ["", $0] } ?? [])).joined(separator: "\n")
  }

  private func percent(_ fraction: Double) -> String { String(format: "%.2f %%", 100 * fraction) }
}
