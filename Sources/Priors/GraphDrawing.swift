import Foundation

extension LatentGraph {
  /// The graph as an SVG image: latents that are joined lie near each other, those with more edges are larger, and colour
  /// runs with the index, so that blocks of consecutive latents share one.
  package func svg(title: String) -> String {
    let (side, margin, header) = (800.0, 24.0, 40.0)
    let extent = side - 2 * margin
    let places = layout().map { (x: margin + $0.x * extent, y: header + margin + $0.y * extent) }
    func number(_ x: Double) -> String { String(format: "%.1f", x) }
    let lines = edges.map { edge in
      let (a, b) = (places[edge.u], places[edge.v])
      return "M\(number(a.x)) \(number(a.y))L\(number(b.x)) \(number(b.y))"
    }
    let opacity = number(max(0.1, min(0.6, 400 / Double(max(lines.count, 1)))))
    let radius = max(1.5, 60 / Double(max(count, 1)).squareRoot() / 4)
    let mean = max(density * Double(count - 1), 1)
    let circles = places.enumerated().map { u, place in
      let r = radius * (Double(degree(u)) / mean).squareRoot().clamped(to: 0.7...3)
      let (x, y) = (number(place.x), number(place.y))
      return "<circle cx=\"\(x)\" cy=\"\(y)\" r=\"\(number(r))\" fill=\"\(colour(of: u))\"/>"
    }
    let text = title.replacing("&", with: "&amp;").replacing("<", with: "&lt;")
    return """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Int(side)) \(Int(side + header))" font-family="sans-serif">
      <rect width="100%" height="100%" fill="#fff"/>
      <text x="\(Int(margin))" y="26" font-size="14">\(text)</text>
      <path fill="none" stroke="#555" stroke-width="0.5" stroke-opacity="\(opacity)" d="\(lines.joined())"/>
      <g stroke="#fff" stroke-width="0.5">
      \(circles.joined(separator: "\n"))
      </g>
      </svg>

      """
  }

  /// Fruchterman and Reingold, "Graph drawing by force-directed placement", 1991, from a circle in order of index: places
  /// within the unit square.
  private func layout() -> [(x: Double, y: Double)] {
    var places = (0..<count).map { u in
      let angle = 2 * Double.pi * Double(u) / Double(count)
      return SIMD2(0.5 + 0.4 * cos(angle), 0.5 + 0.4 * sin(angle))
    }
    let edges = edges
    let ideal = 1 / Double(max(count, 1)).squareRoot()
    let rounds = 150
    for round in 0..<rounds {
      // To the middle, so that what is not joined stays in the picture.
      var forces = places.map { (0.5 - $0) * 0.5 }
      for u in 0..<count {
        for v in 0..<u {
          let apart = places[u] - places[v]
          let push = apart * (ideal * ideal / max((apart * apart).sum(), 1e-9))
          forces[u] += push
          forces[v] -= push
        }
      }
      for (u, v) in edges {
        let apart = places[u] - places[v]
        let pull = apart * ((apart * apart).sum().squareRoot() / ideal)
        forces[u] -= pull
        forces[v] += pull
      }
      let reach = 0.1 * (1 - Double(round) / Double(rounds))
      for u in 0..<count {
        let length = (forces[u] * forces[u]).sum().squareRoot()
        places[u] += forces[u] * (min(length, reach) / max(length, 1e-9))
      }
    }
    let low = places.reduce(SIMD2(repeating: Double.infinity)) { pointwiseMin($0, $1) }
    let high = places.reduce(SIMD2(repeating: -Double.infinity)) { pointwiseMax($0, $1) }
    let extent = max(high.x - low.x, high.y - low.y, 1e-9)
    return places.map { (x: ($0.x - low.x) / extent, y: ($0.y - low.y) / extent) }
  }

  private func colour(of u: Int) -> String {
    let channels = (0..<3).map { channel in
      Int(120 + 90 * cos(2 * Double.pi * (Double(u) / Double(count) - Double(channel) / 3)))
    }
    return String(format: "#%02x%02x%02x", channels[0], channels[1], channels[2])
  }
}

extension Double {
  fileprivate func clamped(to range: ClosedRange<Double>) -> Double {
    min(max(self, range.lowerBound), range.upperBound)
  }
}
