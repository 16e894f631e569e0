/// The graph that a prior drew, and signatures that realise it: what a circuit's mediators start from.
package struct FittedPrior: Sendable {
  package let graph: LatentGraph
  package let signatures: Signatures

  /// - Parameters:
  ///   - truncation: the distance below which latents count as joined. The reference fits at 0.8 and lets its kernels reach
  ///     to 0.9, where more pairs are active; the kernel's own truncation here makes both agree.
  /// - Throws: where the prior does not fit the number of latents.
  package init(
    _ prior: GraphPrior, latents: Int, dimension: Int = 64, truncation: Double = 0.8, steps: Int = 1000, seed: UInt64
  ) throws(PriorError) {
    graph = try prior.graph(latents: latents, seed: seed)
    var fit = SignatureFit(
      .orthogonal(count: latents, dimension: dimension, seed: seed), to: graph, truncation: truncation)
    for _ in 0..<steps { fit.step() }
    signatures = fit.signatures
  }

  /// How well the signatures realise the graph at a truncation.
  package func realization(within truncation: Double) -> Realization {
    let active = signatures.graph(within: truncation)
    let wanted = graph.edges
    let kept = wanted.count { active[$0.u, $0.v] }
    return Realization(
      truncation: truncation, density: active.density,
      recall: wanted.isEmpty ? 1 : Double(kept) / Double(wanted.count), target: graph.density)
  }

  package struct Realization: Sendable, Hashable, CustomStringConvertible {
    package let truncation: Double
    /// The share of pairs that are active.
    package let density: Double
    /// The share of the graph's edges that are active.
    package let recall: Double
    /// The share of pairs that the graph joins.
    package let target: Double

    package var description: String {
      func percent(_ x: Double) -> String { "\((1000 * x).rounded() / 10) %" }
      return "at truncation \(truncation) \(percent(density)) of the pairs are active, "
        + "\(percent(recall)) of the graph's edges among them; the graph joins \(percent(target))"
    }
  }
}
