import Priors

extension Recomputation {
  /// Group 06b: signatures moved towards the graphs of the priors, from given graphs and starts, on the host.
  mutating func graphPriors() throws -> [Comparison] {
    let description = file.description
    let truncation = try file.need(description.truncation, "truncation")
    let rate = try file.need(description.lr, "lr")
    let dimension = try file.need(description.signatureDimension, "signature_dim")
    var comparisons: [Comparison] = []
    for (name, prior) in try file.need(description.priors, "priors").sorted(by: { $0.key < $1.key }) {
      let count = try file.shape("\(name).adjacency", rank: 2)[0]
      let adjacency = try file.values("\(name).adjacency", [count, count])
      guard let graph = LatentGraph(count: count, adjacency: adjacency) else {
        throw file.unusable("\(name).adjacency is not symmetric, of 0 and 1, with zeros on its diagonal")
      }
      touch("\(name).adjacency")
      // A graph that chance drew can only be compared in what is certain of it.
      let own = try prior.prior(name, of: file).graph(latents: count, seed: 0)
      let edges = [Double(own.edges.count), Double(prior.edges)]
      switch name {
      case "ring_of_cliques":
        let cells = (0..<count * count).map { own[$0 / count, $0 % count] ? 1.0 : 0 }
        comparisons.append(Comparison(.indices, "\(name).adjacency", expected: adjacency, actual: cells))
      case "barabasi_albert":
        comparisons.append(Comparison(.indices, "\(name).num_edges", expected: [edges[1]], actual: [edges[0]]))
      default: break
      }
      comparisons.append(
        Comparison(
          .indices, "\(name).num_edges of the adjacency", expected: [edges[1]], actual: [Double(graph.edges.count)]))

      let start = try file.values("\(name).init", [count, dimension])
      touch("\(name).init")
      var fit = SignatureFit(
        Signatures(count: count, dimension: dimension, values: start.map(Float.init)), to: graph,
        truncation: truncation, learningRate: rate)
      var step = 0
      for (last, tensor) in stepTensors(name) {
        guard 1...10_000 ~= last else { throw file.unusable("\(tensor): steps are 1 to 10000") }
        while step < last {
          fit.step()
          step += 1
        }
        let expected = try file.values(tensor, [count, dimension])
        // A pair that rounding puts on the other side of the truncation moves by a step of its own, and pulls others along.
        let slack = 2e-5 * Double(max(0, last - 10))
        comparisons.append(
          Comparison(
            .signatures, tensor, expected: expected, actual: fit.signatures.values.map(Double.init),
            slack: Array(repeating: slack, count: expected.count)))
        touch(tensor)
        if last >= 1000 {
          let reference = Signatures(count: count, dimension: dimension, values: expected.map(Float.init))
          let (theirs, ours) = (reference.graph(within: truncation), fit.signatures.graph(within: truncation))
          let differing = (0..<count * count).count { theirs[$0 / count, $0 % count] != ours[$0 / count, $0 % count] }
          comparisons.append(
            Comparison(.indices, "\(tensor), pairs within \(truncation)", expected: [0], actual: [Double(differing)]))
        }
      }
    }
    return comparisons
  }

  /// `NAME.signatures_iterN`, by N.
  private func stepTensors(_ name: String) -> [(step: Int, tensor: String)] {
    let prefix = "\(name).signatures_iter"
    return file.tensors.names.compactMap { tensor in
      tensor.hasPrefix(prefix) ? Int(tensor.dropFirst(prefix.count)).map { ($0, tensor) } : nil
    }.sorted { $0.step < $1.step }
  }
}

extension CaseDescription.Prior {
  fileprivate func prior(_ name: String, of file: ReferenceCase) throws(VerificationError) -> GraphPrior {
    func need<T>(_ value: T?, _ key: String) throws(VerificationError) -> T {
      try file.need(value, "priors.\(name).kwargs.\(key)")
    }
    let a = arguments
    switch name {
    case "barabasi_albert": return .scaleFree(attachments: try need(a.m, "m"))
    case "planted_partition":
      return .plantedPartition(
        groups: try need(a.l, "l"), size: try need(a.k, "k"), inside: try need(a.inside, "p_in"),
        across: try need(a.across, "p_out"))
    case "ring_of_cliques":
      return .ringOfCliques(cliques: try need(a.cliques, "num_cliques"), size: try need(a.size, "clique_size"))
    case "erdos_renyi": return .erdosRenyi(probability: try need(a.p, "p"))
    default:
      throw file.unusable(
        "prior \(name); barabasi_albert, planted_partition, ring_of_cliques and erdos_renyi are known")
    }
  }
}
