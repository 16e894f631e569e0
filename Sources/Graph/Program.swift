/// The part of a graph that some results need, in order, with epilogues drawn into their producers.
///
/// The graph itself stays as it was written, so gradients and the interpreter see plain ops.
package struct Program: Sendable {
  package let nodes: [Graph.Node]
  package let types: [TensorType]
  package let sources: [Graph.Source]
  /// Values that must hold their contents when the program has run.
  package let results: [Int]

  /// - Parameter fusing: false keeps every op separate, for diagnosis and for comparing both forms.
  package init(_ graph: Graph, results: [Value], fusing: Bool = true) {
    types = graph.types
    sources = graph.sources
    self.results = results.map(\.id)
    var nodes = Program.live(graph.nodes, results: Set(self.results))
    if fusing { nodes = Program.fused(nodes, results: Set(self.results), valueCount: types.count) }
    self.nodes = nodes
  }

  /// Nodes whose outputs are wanted, or that change persistent memory.
  private static func live(_ nodes: [Graph.Node], results: Set<Int>) -> [Graph.Node] {
    var wanted = results
    var kept: [Graph.Node] = []
    for node in nodes.reversed() where !node.op.mutates.isEmpty || node.outputs.contains(where: wanted.contains) {
      wanted.formUnion(node.inputs)
      kept.append(node)
    }
    return kept.reversed()
  }

  /// One pass in program order; a node that was fused may absorb its own consumer in turn (bias, then GELU).
  private static func fused(_ nodes: [Graph.Node], results: Set<Int>, valueCount: Int) -> [Graph.Node] {
    var slots: [Graph.Node?] = nodes
    var producer = [Int?](repeating: nil, count: valueCount)
    var readers = [[Int]](repeating: [], count: valueCount)
    for (i, node) in nodes.enumerated() {
      for input in Set(node.inputs) { readers[input].append(i) }
      for output in node.outputs { producer[output] = i }
    }
    for i in nodes.indices {
      guard let consumer = slots[i], consumer.op.mutates.isEmpty, consumer.outputs.count == 1 else { continue }
      // A late producer first: of two candidates it is the one whose result is used up here.
      let places = consumer.inputs.map { producer[$0] ?? -1 }
      for operand in places.indices.sorted(by: { places[$0] > places[$1] }) {
        let value = consumer.inputs[operand]
        guard let p = producer[value], let source = slots[p], source.outputs == [value] else { continue }
        let others = readers[value].filter { $0 != i }
        let keeping = results.contains(value) || !others.isEmpty
        guard consumer.inputs.filter({ $0 == value }).count == 1, others.allSatisfy({ $0 > i }),
          let absorption = source.op.absorbing(consumer.op, operand: operand, keepingOriginal: keeping)
        else { continue }
        let fused = Graph.Node(
          op: absorption.op, inputs: source.inputs + absorption.extraInputs.map { consumer.inputs[$0] },
          outputs: consumer.outputs + (keeping ? [value] : []))
        for input in Set(source.inputs) { readers[input] = readers[input].map { $0 == p ? i : $0 } }
        readers[value] = others
        for output in fused.outputs { producer[output] = i }
        slots[p] = nil
        slots[i] = fused
        break
      }
    }
    return slots.compactMap { $0 }
  }
}
