import Foundation

/// The losses of a run as an SVG picture: one panel per task, one line per trained module.
package struct Curves: Sendable {
  private struct Line {
    let block: String
    let points: [(step: Int, loss: Double)]
  }

  private let title: String
  private let panels: [(task: String, lines: [Line])]

  private static let width = 300.0
  private static let height = 190.0
  private static let margin = (left: 44.0, right: 12.0, top: 26.0, bottom: 30.0)
  private static let columns = 3
  private static let colors = ["#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#a463f2", "#97bbf5", "#9c6b4e"]

  /// - Parameter rows: the run's metrics; only steps are drawn.
  package init(title: String, rows: [MetricsRow]) {
    self.title = title
    var tasks: [String] = []
    var blocks: [String: [String]] = [:]
    var points: [String: [(step: Int, loss: Double)]] = [:]
    for row in rows where row.event == .step {
      guard let loss = row.loss else { continue }
      if blocks[row.task] == nil { tasks.append(row.task) }
      let key = "\(row.task)/\(row.block)"
      if points[key] == nil { blocks[row.task, default: []].append(row.block) }
      points[key, default: []].append((row.step, loss))
    }
    panels = tasks.map { task in
      (task, (blocks[task] ?? []).map { Line(block: $0, points: Curves.smoothed(points["\(task)/\($0)"] ?? [])) })
    }
  }

  /// Means over windows, so that a line has at most a hundred points.
  private static func smoothed(_ points: [(step: Int, loss: Double)]) -> [(step: Int, loss: Double)] {
    let window = max(1, points.count / 100)
    return stride(from: 0, to: points.count, by: window).map { start in
      let part = points[start..<min(start + window, points.count)]
      return (part[part.startIndex + part.count / 2].step, part.reduce(0) { $0 + $1.loss } / Double(part.count))
    }
  }

  package var svg: String {
    let rows = (panels.count + Curves.columns - 1) / Curves.columns
    let size = (
      width: Curves.width * Double(min(Curves.columns, max(1, panels.count))), height: 34 + Curves.height * Double(rows)
    )
    var body = """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(size.width) \(size.height)" font-family="sans-serif" font-size="10">
      <rect width="100%" height="100%" fill="white"/>
      <text x="12" y="20" font-size="14">\(escaped(title))</text>

      """
    for (i, panel) in panels.enumerated() {
      let origin = (Double(i % Curves.columns) * Curves.width, 34 + Double(i / Curves.columns) * Curves.height)
      body += "<g transform=\"translate(\(origin.0) \(origin.1))\">\n\(draw(panel.task, panel.lines))</g>\n"
    }
    return body + "</svg>\n"
  }

  private func draw(_ task: String, _ lines: [Line]) -> String {
    let all = lines.flatMap(\.points)
    let last = Double(all.map(\.step).max() ?? 1)
    let low = all.map(\.loss).min() ?? 0
    let high = max(all.map(\.loss).max() ?? 1, low + 1e-9)
    let plot = (
      width: Curves.width - Curves.margin.left - Curves.margin.right,
      height: Curves.height - Curves.margin.top - Curves.margin.bottom
    )
    func x(_ step: Double) -> Double { Curves.margin.left + plot.width * step / last }
    func y(_ loss: Double) -> Double { Curves.margin.top + plot.height * (high - loss) / (high - low) }
    var text = "<text x=\"\(Curves.margin.left)\" y=\"16\" font-size=\"12\">\(escaped(task)): loss</text>\n"
    for fraction in [0.0, 0.5, 1.0] {
      let loss = low + fraction * (high - low)
      text += """
        <line x1="\(x(0))" x2="\(x(last))" y1="\(number(y(loss)))" y2="\(number(y(loss)))" stroke="#ddd"/>
        <text x="\(Curves.margin.left - 4)" y="\(number(y(loss) + 3))" text-anchor="end">\(String(format: "%.2f", loss))</text>
        <text x="\(number(x(fraction * last)))" y="\(Curves.height - Curves.margin.bottom + 14)" text-anchor="middle">\(Int(fraction * last))</text>

        """
    }
    for (i, line) in lines.enumerated() {
      let color = Curves.colors[i % Curves.colors.count]
      let path = line.points.map { "\(number(x(Double($0.step)))),\(number(y($0.loss)))" }.joined(separator: " ")
      text += "<polyline fill=\"none\" stroke=\"\(color)\" stroke-width=\"1.5\" points=\"\(path)\"/>\n"
      text += """
        <text x="\(x(last) - 2)" y="\(number(Curves.margin.top + 10 + 12 * Double(i)))" text-anchor="end" fill="\(color)">\(escaped(line.block))</text>

        """
    }
    return text
  }

  private func number(_ x: Double) -> String { String(format: "%.1f", x) }
  private func escaped(_ text: String) -> String {
    text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
  }
}
