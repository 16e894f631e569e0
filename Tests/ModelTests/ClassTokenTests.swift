import GPU
import Graph
import Models
import NN
import Testing

@testable import Ops

/// Work that cannot reach the loss is not done, and what is done stays the same.
@Suite struct ClassTokenTests {
  private static let task = ImageTask(
    size: 12, channels: 1, patch: 4, classes: 5, normalization: .init(mean: [0.3], std: [0.4]))

  /// Tokens after two blocks, the second with experts if asked, and the parameters' values.
  private func tokens(experts: Bool, in graph: Graph) throws -> (tokens: Value, layout: ParameterLayout) {
    let options = BlockOptions(experts: experts ? .init(count: 3, perToken: 2, fanIn: .linear) : nil)
    let model = VisionTransformer(
      block: "m", task: ClassTokenTests.task, width: TransformerWidth(features: 12, heads: 3, linear: .normal(0.3)),
      stages: [[BlockOptions(), options]])
    let images = graph.input("images", [3, 1, 12, 12])
    let pass = Forward(graph, training: false, state: StepState.input(in: graph), stream: "m")
    return (try model.stages[0].tokens(images, blocks: 0..<2, pass), model.layout)
  }

  @Test(arguments: [false, true]) func equalsTakingTheTokenAtTheEnd(experts: Bool) throws {
    let graph = Graph()
    let (tokens, layout) = try tokens(experts: experts, in: graph)
    let early = try tokens.classToken()
    let late = try graph.apply(TakeToken(), to: [tokens])[0]
    let parameters = layout.parameters.map(graph.parameter)
    var results = [early, late]
    for loss in [early, late] {
      results += try graph.gradients(of: loss.gelu(), withRespectTo: parameters).compactMap { $0 }
    }
    #expect(results.count == 2 + 2 * (layout.parameters.count - 4))  // all but the norm and head behind the token
    var interpreter = Interpreter(
      blocks: ["m": layout.initialValues(seed: 3, stream: "m").map(Double.init)])
    var random = SystemRandomNumberGenerator()
    let image = HostTensor([3, 1, 12, 12], (0..<432).map { _ in Double.random(in: -1...1, using: &random) })
    let values = interpreter.run(Program(graph, results: results), feeding: ["images": image])
    let half = (values.count - 2) / 2
    for (a, b) in zip([values[0]] + values[2..<2 + half], [values[1]] + values[(2 + half)...]) {
      let scale = max(1e-12, b.data.map(abs).max() ?? 0)
      let error = zip(a.data, b.data).map { abs($0 - $1) }.max() ?? 0
      #expect(error <= 1e-10 * scale)
    }
  }

  @Test(arguments: [false, true]) func projectsNoKeysAndValues(experts: Bool) throws {
    func flops(_ take: (Value) throws -> Value) throws -> [String: Int] {
      let graph = Graph()
      let (tokens, layout) = try tokens(experts: experts, in: graph)
      let token = try take(tokens)
      let gradients = try graph.gradients(of: token, withRespectTo: layout.parameters.map(graph.parameter))
      let program = Program(graph, results: [token] + gradients.compactMap { $0 })
      return program.nodes.reduce(into: [:]) { sum, node in
        sum[node.op.name, default: 0] +=
          node.op.cost(node.inputs.map { program.types[$0] }, node.outputs.map { program.types[$0] }).flops
      }
    }
    let early = try flops { try $0.classToken() }
    let late = try flops { try $0.graph.apply(TakeToken(), to: [$0])[0] }
    // One block's attention is left as it was; the other's has one query, and projects no token but that one.
    #expect(early["attention"].map { 2 * $0 } == late["attention"])
    #expect(early["class_attention"] != nil)
    let (less, all) = (early.values.reduce(0, +), late.values.reduce(0, +))
    #expect(less < all * 7 / 10)
  }
}
