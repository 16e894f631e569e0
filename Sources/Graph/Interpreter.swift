/// Runs a program on the host in Double by each op's reference meaning: the oracle that plans are compared with.
package struct Interpreter {
  /// Contents of persistent blocks; ops that mutate them write here.
  package var blocks: [String: [Double]]

  package init(blocks: [String: [Double]] = [:]) { self.blocks = blocks }

  /// The results of `program`, in order.
  package mutating func run(_ program: Program, feeding inputs: [String: HostTensor]) -> [HostTensor] {
    var values: [Int: HostTensor] = [:]
    func leaf(_ id: Int, _ blocks: [String: [Double]]) -> HostTensor {
      let type = program.types[id]
      switch program.sources[id] {
      case .input(let name):
        guard let tensor = inputs[name] else { preconditionFailure("no input named \(name)") }
        return tensor
      case .block(let name, let offset):
        guard let block = blocks[name] else { preconditionFailure("no block named \(name)") }
        return HostTensor(type, Array(block[offset..<offset + type.count]))
      case .constant(let tensor): return tensor
      case .node: preconditionFailure("value \(id) is read before it is computed")
      }
    }
    for node in program.nodes {
      let read = node.inputs.map { values[$0] ?? leaf($0, blocks) }
      let written = node.op.reference(read)
      for (id, tensor) in zip(node.outputs, written) { values[id] = tensor }
      for (input, tensor) in zip(node.op.mutates, written.dropFirst(node.outputs.count)) {
        guard case .block(let name, let offset) = program.sources[node.inputs[input]] else {
          preconditionFailure("\(node.op.name) mutates input \(input), which is not persistent")
        }
        blocks[name]?.replaceSubrange(offset..<offset + tensor.data.count, with: tensor.data)
      }
    }
    return program.results.map { values[$0] ?? leaf($0, blocks) }
  }
}
