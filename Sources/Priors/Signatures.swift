import Random

/// Signatures [U, D] of latents: two latents are near where their cosine distance 1 - cos is small.
package struct Signatures: Sendable, Hashable {
  package let count: Int
  package let dimension: Int
  /// Row-major.
  package var values: [Float]

  package init(count: Int, dimension: Int, values: [Float]) {
    precondition(values.count == count * dimension, "\(values.count) values for \(count) x \(dimension)")
    self.count = count
    self.dimension = dimension
    self.values = values
  }

  /// A random matrix with orthonormal columns, or rows where they are fewer (Saxe et al. 2014): normal numbers,
  /// orthonormalised in order.
  package static func orthogonal(count: Int, dimension: Int, seed: UInt64) -> Signatures {
    var random = CounterRandom(seed: seed, stream: "signatures")
    let (vectors, length) = (min(count, dimension), max(count, dimension))
    var basis: [[Double]] = []
    for _ in 0..<vectors {
      var x = (0..<length).map { _ in random.normal() }
      // Twice, since the first pass leaves what cancellation lost.
      for _ in 0..<2 {
        for y in basis {
          let along = zip(x, y).reduce(0) { $0 + $1.0 * $1.1 }
          for i in x.indices { x[i] -= along * y[i] }
        }
      }
      let norm = x.reduce(0) { $0 + $1 * $1 }.squareRoot()
      basis.append(x.map { $0 / norm })
    }
    var values: [Float] = []
    for u in 0..<count {
      for k in 0..<dimension { values.append(Float(count < dimension ? basis[u][k] : basis[k][u])) }
    }
    return Signatures(count: count, dimension: dimension, values: values)
  }

  /// The cosine distance of u and v.
  package func distance(_ u: Int, _ v: Int) -> Double {
    var (product, squareU, squareV) = (0.0, 0.0, 0.0)
    for k in 0..<dimension {
      let (x, y) = (Double(values[u * dimension + k]), Double(values[v * dimension + k]))
      product += x * y
      squareU += x * x
      squareV += y * y
    }
    return 1 - product / (squareU * squareV).squareRoot()
  }

  /// Joins the latents that are nearer than `truncation`.
  package func graph(within truncation: Double) -> LatentGraph {
    var graph = LatentGraph(count: count)
    for u in 0..<count { for v in 0..<u where distance(u, v) < truncation { graph.connect(u, v) } }
    return graph
  }
}
