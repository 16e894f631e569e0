import Random
import Testing

@testable import Priors

@Suite struct PriorTests {
  // MARK: Graphs

  @Test func scaleFree() throws {
    let graph = try GraphPrior.scaleFree(attachments: 3).graph(latents: 200, seed: 1)
    #expect(graph.edges.count == 3 + 196 * 3)
    // A star first; then everyone joins three who were there before.
    for v in 1...3 { #expect(graph[0, v] && !graph[v, v % 3 + 1]) }
    for u in 4..<200 {
      let joined = (0..<u).count { graph[u, $0] }
      #expect(joined == 3)
    }
    // Preferring by degree makes hubs: uniform choices would give none of 7 times the mean.
    let largest = (0..<200).map(graph.degree).max() ?? 0
    #expect(largest > 40)
  }

  @Test func plantedPartition() throws {
    let graph = try GraphPrior.plantedPartition(groups: 4, size: 50, inside: 0.9, across: 0.2)
      .graph(latents: 200, seed: 2)
    let inside = graph.edges.count { $0.u / 50 == $0.v / 50 }
    expect(inside, of: 4900, probability: 0.9)
    expect(graph.edges.count - inside, of: 15_000, probability: 0.2)
  }

  @Test func ringOfCliques() throws {
    let graph = try GraphPrior.ringOfCliques(cliques: 3, size: 4).graph(latents: 12, seed: 3)
    #expect(graph.edges.count == 3 * 6 + 3)
    #expect(graph[1, 4] && graph[5, 8] && graph[9, 0] && !graph[0, 4])
    #expect(graph[0, 3] && graph[8, 11])
  }

  @Test func erdosRenyi() throws {
    let graph = try GraphPrior.erdosRenyi(probability: 0.1).graph(latents: 200, seed: 4)
    expect(graph.edges.count, of: 19_900, probability: 0.1)
    let (full, empty) = (GraphPrior.erdosRenyi(probability: 1), GraphPrior.erdosRenyi(probability: 0))
    #expect(try full.graph(latents: 9, seed: 4).density == 1)
    #expect(try empty.graph(latents: 9, seed: 4).edges.isEmpty)
  }

  /// Within five standard deviations of the mean.
  private func expect(_ edges: Int, of pairs: Double, probability: Double) {
    let mean = pairs * probability
    let deviation = (mean * (1 - probability)).squareRoot()
    #expect(abs(Double(edges) - mean) < 5 * deviation)
  }

  @Test func theSeedDraws() throws {
    for prior in [GraphPrior.scaleFree(attachments: 2), .erdosRenyi(probability: 0.3)] {
      let graph = try prior.graph(latents: 40, seed: 5)
      #expect(try prior.graph(latents: 40, seed: 5) == graph)
      #expect(try prior.graph(latents: 40, seed: 6) != graph)
    }
  }

  @Test(arguments: [
    (GraphPrior.scaleFree(attachments: 12), "joins 12 others"), (.scaleFree(attachments: 0), "joins 0 others"),
    (.plantedPartition(groups: 3, size: 5, inside: 0.9, across: 0.2), "15 latents, the circuit has 12"),
    (.plantedPartition(groups: 3, size: 4, inside: 1.5, across: 0.2), "inside a group 1.5"),
    (.ringOfCliques(cliques: 4, size: 4), "4 cliques of 4 are 16 latents, the circuit has 12"),
    (.ringOfCliques(cliques: 12, size: 1), "at least 2"), (.ringOfCliques(cliques: .max, size: 4), "too many"),
    (.erdosRenyi(probability: -0.1), "-0.1 is not between"), (.erdosRenyi(probability: .nan), "nan"),
  ]) func doesNotFit(_ prior: GraphPrior, _ reason: String) throws {
    let error = #expect(throws: PriorError.self) { try prior.graph(latents: 12, seed: 0) }
    let text = error.map { "\($0)" } ?? ""
    #expect(text.contains(reason) && text.hasPrefix("graph prior ") && !text.contains("\n"), "\(text)")
  }

  // MARK: Signatures

  @Test(arguments: [(9, 4), (4, 9), (5, 5)]) func orthogonal(_ count: Int, _ dimension: Int) {
    let x = Signatures.orthogonal(count: count, dimension: dimension, seed: 1)
    let vectors = (0..<min(count, dimension)).map { i in
      (0..<max(count, dimension)).map { j in
        Double(count < dimension ? x.values[i * dimension + j] : x.values[j * dimension + i])
      }
    }
    for (i, a) in vectors.enumerated() {
      for (j, b) in vectors.enumerated() {
        let product = zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
        let expected: Double = i == j ? 1 : 0
        #expect(abs(product - expected) < 1e-6)
      }
    }
  }

  /// A step of Adam with a bias correction moves each element by the learning rate against its gradient's sign, and here the
  /// gradient is the one of central differences.
  @Test func firstStepFollowsTheGradient() throws {
    let graph = try GraphPrior.erdosRenyi(probability: 0.5).graph(latents: 7, seed: 1)
    let start = Signatures.orthogonal(count: 7, dimension: 5, seed: 2)
    func loss(_ x: Signatures) -> Double {
      var sum = 0.0
      for u in 0..<7 {
        for v in 0..<7 {
          let d = u == v ? 0 : x.distance(u, v)
          sum += graph[u, v] ? max(0.8, d) : max(-0.8, -d)
        }
      }
      return sum / 49
    }
    var fit = SignatureFit(start, to: graph, truncation: 0.8, learningRate: 1e-3)
    fit.step()
    var compared = 0
    for i in start.values.indices {
      var (up, down) = (start, start)
      up.values[i] += 1e-3
      down.values[i] -= 1e-3
      let slope = (loss(up) - loss(down)) / Double(up.values[i] - down.values[i])
      guard abs(slope) > 1e-4 else { continue }
      compared += 1
      let moved = Double(fit.signatures.values[i] - start.values[i])
      let expected: Double = slope > 0 ? -1e-3 : 1e-3
      #expect(abs(moved - expected) < 2e-6)
    }
    #expect(compared > 15)
  }

  @Test func signaturesRealiseTheGraph() throws {
    let fitted = try FittedPrior(.ringOfCliques(cliques: 4, size: 5), latents: 20, dimension: 16, seed: 1)
    let near = fitted.realization(within: 0.8)
    #expect(near.recall == 1 && near.density == near.target)
    // The kernel that reaches further sees more pairs.
    let far = fitted.realization(within: 0.9)
    #expect(far.recall == 1 && far.density > far.target)
    let consistent = try FittedPrior(
      .ringOfCliques(cliques: 4, size: 5), latents: 20, dimension: 16, truncation: 0.9, seed: 1)
    #expect(consistent.realization(within: 0.9).density == near.target)
  }

  @Test func adjacencyIsChecked() {
    #expect(LatentGraph(count: 2, adjacency: [0, 1, 1, 0])?.edges.count == 1)
    for wrong in [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0.5, 0.5, 0], [0, 1, 1]] {
      #expect(LatentGraph(count: 2, adjacency: wrong) == nil)
    }
  }

  // MARK: Assignment

  /// Against all ways to divide the rows.
  @Test(arguments: [(6, 2), (6, 3), (8, 2), (4, 4), (5, 1), (8, 4)]) func bestAssignment(_ rows: Int, _ clusters: Int) {
    var random = CounterRandom(seed: 3, stream: "gains \(rows) \(clusters)")
    for trial in 0..<20 {
      // Few different numbers make ties.
      let gains = (0..<rows * clusters).map { _ in
        trial % 2 == 0 ? 2 * random.uniform() - 1 : Double(random.below(3))
      }
      func total(_ cluster: [Int]) -> Double {
        cluster.enumerated().reduce(0) { $0 + gains[$1.offset * clusters + $1.element] }
      }
      var best = -Double.infinity
      func divide(_ cluster: [Int]) {
        guard cluster.count < rows else {
          best = max(best, total(cluster))
          return
        }
        for c in 0..<clusters {
          let members = cluster.count { $0 == c }
          if members < rows / clusters { divide(cluster + [c]) }
        }
      }
      divide([])
      let found = assignRows(gains: gains, clusters: clusters)
      for c in 0..<clusters {
        let members = found.count { $0 == c }
        #expect(members == rows / clusters)
      }
      let difference = abs(total(found) - best)
      #expect(difference < 1e-9)
    }
  }

  // MARK: Drawing

  @Test func drawing() throws {
    let graph = try GraphPrior.ringOfCliques(cliques: 3, size: 4).graph(latents: 12, seed: 3)
    let svg = graph.svg(title: "a < b & c")
    #expect(svg.contains("a &lt; b &amp; c"))
    let circles = svg.split(separator: "\n").count { $0.hasPrefix("<circle") }
    #expect(circles == 12)
    let lines = svg.count { $0 == "M" }
    #expect(lines == graph.edges.count)
    #expect(!svg.contains("nan") && !svg.contains("inf"))
    // Cliques lie together: edges are shorter than what is not joined.
    let places = svg.split(separator: "\n").compactMap { line -> SIMD2<Double>? in
      guard let match = line.firstMatch(of: /cx="([0-9.]+)" cy="([0-9.]+)"/), let x = Double(match.1),
        let y = Double(match.2)
      else { return nil }
      return SIMD2(x, y)
    }
    func distance(_ u: Int, _ v: Int) -> Double {
      let d = places[u] - places[v]
      return (d * d).sum().squareRoot()
    }
    let joined = graph.edges.map { distance($0.u, $0.v) }
    var apart: [Double] = []
    for u in 0..<12 { for v in 0..<u where !graph[u, v] { apart.append(distance(u, v)) } }
    let near = joined.reduce(0, +) / Double(joined.count)
    let far = apart.reduce(0, +) / Double(apart.count)
    #expect(2 * near < far)
  }
}
