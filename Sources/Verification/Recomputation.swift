import GPU
import Graph
import NN
import Ops
import Storage

/// A case as a graph under construction: what goes in comes from the file, and what comes out is expected to be in it.
struct Recomputation {
  let file: ReferenceCase
  let choices: Choices
  let graph = Graph()
  private(set) var inputs: [String: HostTensor] = [:]
  private(set) var blocks: [String: [Float]] = [:]
  private var expectations: [Expectation] = []
  private var touched: Set<String> = []

  private struct Expectation {
    let quantity: Quantity
    let tensor: String
    let value: Value
    /// Where in the value the tensor is.
    let range: Range<Int>
    /// What the tensor is of that.
    var meaning: ([Double]) -> [Double] = { $0 }
    /// How far each element may be off in addition.
    var slack = 0.0
  }

  init(_ file: ReferenceCase, choices: Choices) {
    self.file = file
    self.choices = choices
  }

  /// A pass without drop path.
  var forward: Forward { Forward(graph, training: false, state: StepState.input(in: graph), stream: "") }

  // MARK: What goes in

  /// - Parameter source: the file that holds the tensor, by default the case's own.
  mutating func input(
    _ name: String, _ shape: Shape, dtype: DType = .f32, from source: ReferenceCase? = nil
  ) throws(VerificationError) -> Value {
    inputs[name] = HostTensor(TensorType(shape, dtype), try (source ?? file).values(name, shape))
    touched.insert(name)
    return graph.input(name, shape, dtype)
  }

  /// Labels u32 [B], as a target of logits [B, N].
  mutating func labels(_ logits: Value) throws(VerificationError) -> Value {
    let (batch, classes) = (logits.shape[0], logits.shape[1])
    let type = TensorType([batch], .u32)
    inputs["in.labels"] = HostTensor(type, try file.labels("in.labels", count: batch, classes: classes))
    return graph.input("in.labels", [batch], .u32)
  }

  mutating func feed(_ name: String, _ tensor: HostTensor) { inputs[name] = tensor }

  /// Fills the blocks of a model; `stored` gives the name in the file of a parameter's tensor.
  mutating func load(
    _ layout: ParameterLayout, from source: ReferenceCase? = nil, stored: (String) -> String
  ) throws(VerificationError) {
    var values = [Float](repeating: 0, count: layout.count)
    for part in layout.parameters.flatMap(\.parts) {
      let name = stored(part.name)
      let tensor = try (source ?? file).values(name, part.shape)
      values.replaceSubrange(part.range, with: tensor.map(Float.init))
      touched.insert(name)
    }
    blocks[layout.block] = values
  }

  /// Adds what an optimiser keeps of a model.
  mutating func addMoments(of layout: ParameterLayout) {
    let zeros = [Float](repeating: 0, count: layout.count)
    blocks[layout.block + ".m"] = zeros
    blocks[layout.block + ".v"] = zeros
    blocks[layout.block + ".status"] = [0, 0, 0, 0]
  }

  // MARK: What comes out

  /// - Parameters:
  ///   - shape: of the tensor in the file, where it is not that of the value.
  ///   - meaning: what the tensor is of the value's elements.
  mutating func expect(
    _ tensor: String, _ quantity: Quantity, _ value: Value, as shape: Shape? = nil,
    meaning: @escaping ([Double]) -> [Double] = { $0 }
  ) throws(VerificationError) {
    let shape = shape ?? value.shape
    precondition(shape.count == value.shape.count, "\(tensor): \(shape) of \(value.shape)")
    try file.check(tensor, shape)
    expectations.append(
      Expectation(quantity: quantity, tensor: tensor, value: value, range: 0..<shape.count, meaning: meaning))
    touched.insert(tensor)
  }

  /// The mean over the batch, from rows that add up to it.
  mutating func expectLoss(_ tensor: String, rows: Value) throws {
    try expect(tensor, .losses, rows.sum(), as: [])
  }

  /// The gradients of `loss` for all parameters whose names `isMissing` does not hold; `prefix` and name are the tensor's.
  /// - Parameter slack: how far each element of a parameter's gradient may be off in addition, by the parameter's name.
  /// - Returns: one gradient for each parameter, nil for those that have none.
  mutating func expectGradients(
    _ prefix: String, of loss: Value, _ layout: ParameterLayout, without isMissing: (String) -> Bool = { _ in false },
    slack: (String) -> Double = { _ in 0 }
  ) throws -> [Value?] {
    let wanted = layout.parameters.filter { !$0.parts.allSatisfy { isMissing($0.name) } }
    let gradients = try graph.gradients(of: loss, withRespectTo: wanted.map(graph.parameter))
    var found: [Parameter: Value] = [:]
    for (parameter, gradient) in zip(wanted, gradients) {
      guard let gradient else { throw file.unusable("the loss does not depend on \(parameter.name)") }
      found[parameter] = gradient
      for part in parameter.parts where !isMissing(part.name) {
        try file.check(prefix + part.name, part.shape)
        let range = part.range.lowerBound - parameter.offset..<part.range.upperBound - parameter.offset
        expectations.append(
          Expectation(
            quantity: .gradients, tensor: prefix + part.name, value: gradient, range: range, slack: slack(part.name)))
        touched.insert(prefix + part.name)
      }
    }
    return layout.parameters.map { found[$0] }
  }

  /// Marks a tensor that is compared by other means.
  mutating func touch(_ tensor: String) { touched.insert(tensor) }

  // MARK: Comparing

  func execution(on device: Device, extra: [Value] = []) throws(VulkanError) -> Execution {
    let program = Program(graph, results: expectations.map(\.value) + extra)
    return try Execution(program, blocks: blocks, on: device, choices: choices)
  }

  func compare(_ execution: Execution) throws -> [Comparison] {
    let results = try execution.run(feeding: inputs)
    return try zip(expectations, results).map { expectation, result in
      Comparison(
        expectation.quantity, expectation.tensor, expected: try file.tensors.doubles(expectation.tensor),
        actual: expectation.meaning(Array(result.data[expectation.range])),
        slack: Array(repeating: expectation.slack, count: expectation.range.count))
    }
  }

  /// The filled block of one model, for a program that names no other.
  func blocks(for layout: ParameterLayout) -> [String: [Float]] { blocks.filter { $0.key == layout.block } }

  func compare(on device: Device) throws -> [Comparison] { try compare(execution(on: device)) }

  /// Tensors of the file that were neither read nor compared; inputs may be there for other cases.
  var leftOver: [String] { file.tensors.names.filter { !touched.contains($0) && !$0.hasPrefix("in.") } }

  /// Whether the file only holds what other cases are given.
  var isFrame: Bool {
    !file.tensors.names.contains { name in ["out", "mid", "grad"].contains { name.hasPrefix($0) } }
  }
}
