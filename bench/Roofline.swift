import Foundation

/// Rows under the roofs of a device as an SVG picture (Williams, Waterman and Patterson, "Roofline", 2009): operations per
/// byte to the right, operations per second upwards, both logarithmic.
struct Roofline {
  private struct Point {
    let label: String
    let op: String
    let intensity: Double
    let gflops: Double
  }

  private let title: String
  private let peak: Peak
  private let points: [Point]

  private static let size = (width: 900.0, height: 560.0)
  private static let margin = (left: 70.0, right: 20.0, top: 46.0, bottom: 48.0)
  private static let colors = ["#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#a463f2", "#97bbf5", "#9c6b4e"]

  /// - Parameter rows: those that do no arithmetic or move no bytes are left out.
  init(title: String, peak: Peak, rows: [Row]) {
    self.title = title
    self.peak = peak
    points = rows.compactMap { row in
      guard let gflops = row.gflops, let gbps = row.gbps, gflops > 0, gbps > 0 else { return nil }
      return Point(
        label: "\(row.op) \(row.case) \(row.family)", op: row.op, intensity: gflops / gbps, gflops: gflops)
    }
  }

  var svg: String {
    let ridge = peak.gflops / peak.gbps
    let across = Axis(
      points.map(\.intensity) + [ridge / 4, ridge * 4], from: Self.margin.left,
      to: Self.size.width - Self.margin.right)
    let up = Axis(
      points.map(\.gflops) + [peak.gflops * 1.2, peak.gbps * across.low], from: Self.size.height - Self.margin.bottom,
      to: Self.margin.top)
    var body = """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Self.size.width) \(Self.size.height)" font-family="sans-serif" font-size="10">
      <rect width="100%" height="100%" fill="white"/>
      <text x="12" y="20" font-size="14">\(escaped(title))</text>
      <text x="12" y="36">measured peak \(digits(peak.gflops)) GFLOP/s, bandwidth \(digits(peak.gbps)) GB/s</text>

      """
    for decade in across.decades {
      let x = number(across(decade))
      body += line(x, number(up(up.low)), x, number(up(up.high)), "#ddd")
      body += text(x, number(up(up.low) + 14), "middle", digits(decade))
    }
    for decade in up.decades {
      let y = number(up(decade))
      body += line(number(across(across.low)), y, number(across(across.high)), y, "#ddd")
      body += text(number(across(across.low) - 5), number(up(decade) + 3), "end", digits(decade))
    }
    body += text(number(across(across.high)), number(Self.size.height - 12), "end", "FLOP per byte")
    body += text("12", number(Self.margin.top + 4), "start", "GFLOP/s")
    let roof = [
      (across.low, peak.gbps * across.low), (ridge, peak.gflops), (across.high, peak.gflops),
    ].map { "\(number(across($0.0))),\(number(up($0.1)))" }.joined(separator: " ")
    body += "<polyline fill=\"none\" stroke=\"#333\" stroke-width=\"1.5\" points=\"\(roof)\"/>\n"

    let ops = points.reduce(into: [String]()) { if !$0.contains($1.op) { $0.append($1.op) } }
    for point in points {
      let color = Self.colors[(ops.firstIndex(of: point.op) ?? 0) % Self.colors.count]
      let (x, y) = (across(point.intensity), up(point.gflops))
      // Where there is no room to the right, the label stands on the left.
      let isRight = x < Self.size.width * 0.75
      body += """
        <circle cx="\(number(x))" cy="\(number(y))" r="3" fill="\(color)"><title>\(escaped(point.label))</title></circle>

        """
      body += text(
        number(x + (isRight ? 5 : -5)), number(y + 3), isRight ? "start" : "end", escaped(point.label),
        "fill=\"\(color)\" font-size=\"7\"")
    }
    return body + "</svg>\n"
  }

  /// A logarithmic scale that holds all of `values`, a little wider than they are.
  private struct Axis {
    let low: Double
    let high: Double
    private let from: Double
    private let to: Double

    init(_ values: [Double], from: Double, to: Double) {
      low = (values.min() ?? 1) / 1.3
      high = (values.max() ?? 1) * 1.3
      self.from = from
      self.to = to
    }

    func callAsFunction(_ value: Double) -> Double { from + (to - from) * log(value / low) / log(high / low) }

    var decades: [Double] {
      let exponents = Int(log10(low).rounded(.up))...max(Int(log10(low).rounded(.up)), Int(log10(high).rounded(.down)))
      return exponents.map { pow(10, Double($0)) }.filter { $0 <= high }
    }
  }

  private func line(_ x1: String, _ y1: String, _ x2: String, _ y2: String, _ color: String) -> String {
    "<line x1=\"\(x1)\" y1=\"\(y1)\" x2=\"\(x2)\" y2=\"\(y2)\" stroke=\"\(color)\"/>\n"
  }

  private func text(_ x: String, _ y: String, _ anchor: String, _ text: String, _ extra: String = "") -> String {
    "<text x=\"\(x)\" y=\"\(y)\" text-anchor=\"\(anchor)\" \(extra)>\(text)</text>\n"
  }

  private func number(_ x: Double) -> String { String(format: "%.1f", x) }
  private func digits(_ x: Double) -> String { String(format: "%.3g", x) }
  private func escaped(_ text: String) -> String {
    text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
  }
}
