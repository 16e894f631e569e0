import Random

/// A family of random graphs that a circuit's mediators start as.
package enum GraphPrior: Sendable, Hashable {
  /// Barabasi and Albert, "Emergence of scaling in random networks", 1999: starts as a star of `attachments` edges; each
  /// further latent joins that many others, chosen in proportion to their degree.
  case scaleFree(attachments: Int)
  /// Condon and Karp, "Algorithms for graph partitioning on the planted partition model", 2001: consecutive latents form
  /// `groups` of `size`; each pair is joined with probability `inside` a group, `across` between groups.
  case plantedPartition(groups: Int, size: Int, inside: Double, across: Double)
  /// Complete graphs of `size` consecutive latents; the second latent of each is joined to the first of the next.
  case ringOfCliques(cliques: Int, size: Int)
  /// Each pair is joined with this probability.
  case erdosRenyi(probability: Double)

  package var name: String {
    switch self {
    case .scaleFree: "scale-free"
    case .plantedPartition: "planted partition"
    case .ringOfCliques: "ring of cliques"
    case .erdosRenyi: "Erdos-Renyi"
    }
  }

  /// The graph of `latents` latents that `seed` draws.
  /// - Throws: where the prior does not fit that number.
  package func graph(latents: Int, seed: UInt64) throws(PriorError) -> LatentGraph {
    try check(latents)
    var random = CounterRandom(seed: seed, stream: "graph prior")
    var graph = LatentGraph(count: latents)
    switch self {
    case .scaleFree(let attachments):
      // Every latent stands here once for each of its edges, so a uniform draw is one in proportion to degree.
      var ends: [Int] = []
      for v in 1...attachments {
        graph.connect(0, v)
        ends += [0, v]
      }
      for u in (attachments + 1)..<latents {
        var chosen: [Int] = []
        while chosen.count < attachments {
          let v = ends[random.below(ends.count)]
          if !chosen.contains(v) { chosen.append(v) }
        }
        for v in chosen {
          graph.connect(u, v)
          ends += [u, v]
        }
      }
    case .plantedPartition(_, let size, let inside, let across):
      graph.connectPairs { u, v in random.uniform() < (u / size == v / size ? inside : across) }
    case .ringOfCliques(_, let size):
      graph.connectPairs { u, v in u / size == v / size }
      for first in stride(from: 0, to: latents, by: size) { graph.connect(first + 1, (first + size) % latents) }
    case .erdosRenyi(let probability):
      graph.connectPairs { _, _ in random.uniform() < probability }
    }
    return graph
  }

  private func check(_ latents: Int) throws(PriorError) {
    func need(_ condition: Bool, _ reason: @autoclosure () -> String) throws(PriorError) {
      guard condition else { throw PriorError(prior: name, reason: reason()) }
    }
    func needProbability(_ p: Double, _ what: String) throws(PriorError) {
      try need(0...1 ~= p, "\(what) \(p) is not between 0 and 1")
    }
    func needParts(_ parts: Int, _ what: String, of size: Int, least: Int) throws(PriorError) {
      try need(
        parts >= least && size >= least,
        "wants at least \(least) \(what) of at least \(least), not \(parts) of \(size)")
      let (total, overflow) = parts.multipliedReportingOverflow(by: size)
      try need(
        !overflow && total == latents,
        "\(parts) \(what) of \(size) are \(overflow ? "too many" : "\(total)") latents, the circuit has \(latents); "
          + "change one of them")
    }
    try need(latents >= 2, "wants at least 2 latents, the circuit has \(latents)")
    switch self {
    case .scaleFree(let attachments):
      try need(
        1..<latents ~= attachments,
        "each latent joins \(attachments) others, which must be at least 1 and below the circuit's \(latents) latents")
    case .plantedPartition(let groups, let size, let inside, let across):
      try needParts(groups, "groups", of: size, least: 1)
      try needProbability(inside, "the probability inside a group")
      try needProbability(across, "the probability between groups")
    case .ringOfCliques(let cliques, let size):
      try needParts(cliques, "cliques", of: size, least: 2)
    case .erdosRenyi(let probability):
      try needProbability(probability, "the probability")
    }
  }
}

extension LatentGraph {
  /// Asks for every pair u < v, in order, whether it is joined.
  fileprivate mutating func connectPairs(_ isJoined: (Int, Int) -> Bool) {
    for u in 0..<count { for v in (u + 1)..<max(u + 1, count) where isJoined(u, v) { connect(u, v) } }
  }
}

/// A prior that cannot be had: one line that names both sides.
package struct PriorError: Error, Sendable, CustomStringConvertible {
  package let prior: String
  package let reason: String

  package var description: String { "graph prior \(prior): \(reason)" }
}
