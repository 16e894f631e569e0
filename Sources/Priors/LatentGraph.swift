/// An undirected graph without loops over the latents of a circuit.
package struct LatentGraph: Sendable, Hashable {
  /// Number of latents, U.
  package let count: Int
  private var adjacent: [Bool]

  package init(count: Int) {
    self.count = count
    adjacent = Array(repeating: false, count: count * count)
  }

  /// - Parameter adjacency: U x U zeros and ones.
  /// - Returns: nil unless it is symmetric with zeros on the diagonal.
  package init?(count: Int, adjacency: [Double]) {
    guard adjacency.count == count * count, adjacency.allSatisfy({ $0 == 0 || $0 == 1 }) else { return nil }
    self.init(count: count)
    for u in 0..<count {
      for v in 0..<count where adjacency[u * count + v] == 1 {
        guard u != v, adjacency[v * count + u] == 1 else { return nil }
        connect(u, v)
      }
    }
  }

  package mutating func connect(_ u: Int, _ v: Int) {
    precondition(u != v, "an edge joins two latents")
    adjacent[u * count + v] = true
    adjacent[v * count + u] = true
  }

  package subscript(u: Int, v: Int) -> Bool { adjacent[u * count + v] }

  /// Each edge once, u < v, in order.
  package var edges: [(u: Int, v: Int)] {
    (0..<count).flatMap { u in (u..<count).filter { self[u, $0] }.map { (u, $0) } }
  }

  package func degree(_ u: Int) -> Int { adjacent[u * count..<(u + 1) * count].count { $0 } }

  /// The share of pairs of different latents that are joined.
  package var density: Double {
    count < 2 ? 0 : Double(adjacent.count { $0 }) / Double(count * (count - 1))
  }
}
