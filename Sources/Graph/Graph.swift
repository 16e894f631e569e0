/// A computation under construction: values and the ops between them, in an order that respects dependence.
package final class Graph {
  /// Where a value comes from.
  package enum Source: Sendable {
    /// Written by the host before each run.
    case input(name: String)
    /// A range of a persistent block, offset in elements.
    case block(name: String, offset: Int)
    /// Written once, when the plan is made.
    case constant(HostTensor)
    case node
  }

  package struct Node: Sendable {
    package var op: any Op
    package var inputs: [Int]
    package var outputs: [Int]
  }

  package private(set) var types: [TensorType] = []
  package private(set) var sources: [Source] = []
  package private(set) var nodes: [Node] = []
  private var leaves: [String: Value] = [:]

  package init() {}

  /// A tensor that `Plan.run(feeding:)` provides each step. The same name gives the same value.
  package func input(_ name: String, _ shape: Shape, _ dtype: DType = .f32) -> Value {
    leaf("input " + name, TensorType(shape, dtype), .input(name: name))
  }

  package func parameter(_ parameter: Parameter) -> Value {
    leaf(
      "block \(parameter.block) \(parameter.offset)", TensorType(parameter.shape),
      .block(name: parameter.block, offset: parameter.offset))
  }

  /// A whole persistent block as one flat tensor, for ops that update it.
  package func block(_ name: String, count: Int, dtype: DType = .f32) -> Value {
    leaf("whole " + name, TensorType([count], dtype), .block(name: name, offset: 0))
  }

  package func constant(_ tensor: HostTensor) -> Value {
    add(tensor.type, .constant(tensor))
  }

  /// Appends an op.
  /// - Throws: `ShapeError` if the inputs do not fit it.
  package func apply(_ op: any Op, to inputs: [Value]) throws(ShapeError) -> [Value] {
    let outputs = try op.infer(inputs.map(\.type)).map { add($0, .node) }
    nodes.append(Node(op: op, inputs: inputs.map(\.id), outputs: outputs.map(\.id)))
    return outputs
  }

  package func value(_ id: Int) -> Value { Value(id: id, type: types[id], graph: self) }

  private func leaf(_ key: String, _ type: TensorType, _ source: Source) -> Value {
    if let known = leaves[key] {
      precondition(known.type == type, "\(key) was \(known.type), now \(type)")
      return known
    }
    let value = add(type, source)
    leaves[key] = value
    return value
  }

  private func add(_ type: TensorType, _ source: Source) -> Value {
    types.append(type)
    sources.append(source)
    return Value(id: types.count - 1, type: type, graph: self)
  }
}
