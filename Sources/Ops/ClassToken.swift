import Graph

/// An op whose output at a token depends on its inputs at the same token only.
package protocol TokenWise: Op {
  /// Inputs that carry tokens [B, T, …]; the others (weights, scales per sample) serve all tokens alike. Nil where these
  /// inputs make the op another kind of product.
  func tokenInputs(_ inputs: [TensorType]) -> [Int]?
}

extension Value {
  /// [B, T, C] -> [B, C], token 0.
  ///
  /// Nobody reads the other tokens behind this point, so whatever was computed token by token just before it is built
  /// again for the class token alone, and self-attention for its query alone; what that replaces drops out of the program.
  /// In the last block of a transformer only the norm before the attention is left for all tokens.
  package func classToken() throws(ShapeError) -> Value {
    var taking = ClassToken(of: self)
    return try taking.take(id)
  }
}

private struct ClassToken {
  private let graph: Graph
  private var producer: [Int: Graph.Node] = [:]
  /// Values that a mixing op (attention) reads: needed for all tokens, so there is nothing to gain by going past them.
  private var needed: Set<Int> = []
  private var taken: [Int: Value] = [:]

  init(of value: Value) {
    graph = value.graph
    for node in graph.nodes { for output in node.outputs { producer[output] = node } }
    var mixing: [Int] = []
    var pending = [value.id]
    var seen: Set<Int> = []
    while let id = pending.popLast() {
      guard seen.insert(id).inserted else { continue }
      if let sources = sources(of: id) { pending += sources } else { mixing.append(id) }
    }
    pending = mixing.flatMap { producer[$0]?.inputs ?? [] }
    while let id = pending.popLast() {
      if needed.insert(id).inserted { pending += producer[id]?.inputs ?? [] }
    }
  }

  /// The values whose tokens the tokens of `id` are made of, each from its own; nil where tokens mix.
  private func sources(of id: Int) -> [Int]? {
    guard let node = producer[id], node.outputs[0] == id, graph.types[id].shape.rank == 3 else { return nil }
    if let mixture = mixture(node) { return [mixture.tokens, mixture.logits] }
    let types = node.inputs.map { graph.types[$0] }
    return (node.op as? any TokenWise)?.tokenInputs(types)?.map { node.inputs[$0] }
  }

  mutating func take(_ id: Int) throws(ShapeError) -> Value {
    if let value = taken[id] { return value }
    let value: Value
    if let query = try oneQuery(id) {
      value = query
    } else if needed.contains(id) || sources(of: id) == nil {
      value = try graph.apply(TakeToken(), to: [graph.value(id)])[0]
    } else if let node = producer[id] {
      value = try rebuild(node)
    } else {
      preconditionFailure("value \(id) has sources and no producer")
    }
    taken[id] = value
    return value
  }

  private mutating func rebuild(_ node: Graph.Node) throws(ShapeError) -> Value {
    if let mixture = mixture(node) {
      let (scores, experts) = try take(mixture.logits).topKGate(k: mixture.k)
      let routing = try experts.routed(experts: mixture.experts)
      let rows = try reroute(mixture.rows, take(mixture.tokens), routing)
      return try rows.combined(scores: scores, slots: routing.slots, leading: [scores.shape[0]])
    }
    let sources = (node.op as? any TokenWise)?.tokenInputs(node.inputs.map { graph.types[$0] }) ?? []
    var inputs = node.inputs.map(graph.value)
    for i in sources { inputs[i] = try take(node.inputs[i]) }
    return try graph.apply(node.op, to: inputs)[0]
  }

  /// The class token of a self-attention whose queries, keys and values are one projection of the same tokens.
  private func oneQuery(_ id: Int) throws(ShapeError) -> Value? {
    guard !needed.contains(id), let node = producer[id], let attention = node.op as? Attention, node.outputs[0] == id,
      var projection = producer[node.inputs[0]]
    else { return nil }
    var bias: [Int] = []
    if projection.op is AddBias, let product = producer[projection.inputs[0]] {
      bias = [projection.inputs[1]]
      projection = product
    }
    let types = projection.inputs.map { graph.types[$0] }
    guard let product = projection.op as? Matmul, product.transposing == .right, product.tokenInputs(types) == [0],
      ClassAttention.pays(types[0].shape, types[1].shape, heads: attention.heads)
    else { return nil }
    let inputs = (projection.inputs + bias).map(graph.value)
    return try graph.apply(ClassAttention(heads: attention.heads), to: inputs)[0]
  }

  // MARK: Mixture of experts

  private struct Mixture {
    let rows: Int
    let tokens: Int
    let logits: Int
    let k: Int
    let experts: Int
  }

  /// What a `Combine` brings together, if its rows come from experts that read the tokens its gate read.
  private func mixture(_ node: Graph.Node) -> Mixture? {
    guard node.op is Combine, let gate = producer[node.inputs[1]], let topK = gate.op as? TopKGate,
      let route = producer[node.inputs[2]]?.op as? Route, let tokens = tokens(of: node.inputs[0])
    else { return nil }
    return Mixture(rows: node.inputs[0], tokens: tokens, logits: gate.inputs[0], k: topK.k, experts: route.experts)
  }

  /// The tokens that the experts' rows were gathered from.
  private func tokens(of rows: Int) -> Int? {
    guard let node = producer[rows] else { return nil }
    if let product = node.op as? GroupedMatmul, product.gathered == .left { return node.inputs[0] }
    return node.op is GroupedMatmul || node.op is Gelu ? tokens(of: node.inputs[0]) : nil
  }

  /// The experts' rows for other tokens under another routing.
  private func reroute(_ rows: Int, _ tokens: Value, _ routing: Routing) throws(ShapeError) -> Value {
    guard let node = producer[rows] else { preconditionFailure("rows \(rows) have no producer") }
    guard let product = node.op as? GroupedMatmul else {
      return try graph.apply(node.op, to: [reroute(node.inputs[0], tokens, routing)])[0]
    }
    let from = product.gathered == .left ? tokens : try reroute(node.inputs[0], tokens, routing)
    let rest = node.inputs.dropFirst(5).map(graph.value)
    return try graph.apply(
      product, to: [from, graph.value(node.inputs[1]), routing.offsets, routing.entries, routing.slots] + rest)[0]
  }
}
