/// Divides rows among clusters of equal size so that the sum of what each row gains in its cluster is the largest: exact.
///
/// The stochastic block model regulariser permutes the rows of a kernel P [U, U] to come as near as possible to a target G
/// that is `inside` within and `across` between blocks of consecutive latents. G's rows are the same within a block, so the
/// Hungarian assignment of rows to rows is one of rows to blocks, and since |P_i - G_c|^2 differs between blocks c only by
/// -2 (inside - across) sum over k in c of P_ik, a row's gain is the sum of its affinities to the block.
///
/// Successive shortest paths (Ahuja, Magnanti and Orlin, "Network Flows", 1993, section 9.7) over the clusters: each row
/// enters the best cluster and pushes others on along the cheapest chain to one with room; O(U (U C + C^3)).
///
/// - Parameters:
///   - gains: [U, C].
/// - Returns: the cluster of each row.
package func assignRows(gains: [Double], clusters: Int) -> [Int] {
  precondition(clusters > 0 && gains.count % clusters == 0, "\(gains.count) gains for \(clusters) clusters")
  let rows = gains.count / clusters
  precondition(rows % clusters == 0, "\(rows) rows do not divide into \(clusters) clusters")
  var cluster = [Int](repeating: -1, count: rows)
  var sizes = [Int](repeating: 0, count: clusters)
  // What rounding may make of nothing: a chain of moves that gains no more would lead around in a circle.
  let slack = 1e-12 * gains.reduce(0) { max($0, abs($1)) }
  for row in 0..<rows {
    // The cheapest move from a to b, over all rows in a.
    var move = [(loss: Double, row: Int)](repeating: (.infinity, -1), count: clusters * clusters)
    for (other, a) in cluster.enumerated() where a >= 0 {
      for b in 0..<clusters where b != a {
        let loss = gains[other * clusters + a] - gains[other * clusters + b]
        if loss < move[a * clusters + b].loss { move[a * clusters + b] = (loss, other) }
      }
    }
    // Bellman and Ford: moves may gain, but no cycle of them does, because what is assigned so far is optimal.
    var loss = (0..<clusters).map { -gains[row * clusters + $0] }
    var previous = [Int](repeating: -1, count: clusters)
    for _ in 0..<clusters {
      for a in 0..<clusters {
        for b in 0..<clusters where loss[a] + move[a * clusters + b].loss < loss[b] - slack {
          loss[b] = loss[a] + move[a * clusters + b].loss
          previous[b] = a
        }
      }
    }
    let open = (0..<clusters).filter { sizes[$0] < rows / clusters }
    guard var end = open.min(by: { loss[$0] < loss[$1] }) else { preconditionFailure("no room for row \(row)") }
    sizes[end] += 1
    while previous[end] >= 0 {
      cluster[move[previous[end] * clusters + end].row] = end
      end = previous[end]
    }
    cluster[row] = end
  }
  return cluster
}
