import GPU
import Graph
import Models
import NN
import Ops
import Random
import TestSupport
import Testing
import Verification

/// A teaching pair whose sizes fit no vector, tile or group of lanes: the device against the reference meaning of the
/// ops in Double, for logits, loss and every gradient.
@Suite(.serialized, .enabled(if: TestDevice.isPresent, TestDevice.absence))
struct OddSizesTests {
  struct Pair: Sendable, CustomTestStringConvertible {
    let testDescription: String
    var batch = 3
    var channels = 3
    var size = 9
    var patch = 3
    var classes = 7
    var features = 18
    var heads = 3
    var studentFeatures = 10
    var studentHeads = 2
    var experts: [Int?] = [nil, 5]
    var perToken = 2
    var place = 1
    var kind = DistillationLoss.Kind.soft
    var alpha: Float = 0.3
    var tau: Float = 2
  }

  static let pairs = [
    Pair(testDescription: "middle, head dimensions 6 and 5"),
    Pair(
      testDescription: "first, hard, batch 1", batch: 1, channels: 1, heads: 9, studentFeatures: 33, studentHeads: 3,
      experts: [3], place: 0, kind: .hard, alpha: 0.7),
    Pair(
      testDescription: "last, one expert a token", batch: 5, size: 4, patch: 2, classes: 2, features: 7, heads: 1,
      studentFeatures: 12, studentHeads: 4, experts: [2, 9], perToken: 1, place: 2, tau: 0.5),
    Pair(
      testDescription: "wider than a tile", batch: 2, size: 4, patch: 1, classes: 101, features: 20, heads: 5,
      studentFeatures: 68, studentHeads: 1, experts: [11], perToken: 3, kind: .none),
  ]

  @Test(arguments: pairs) func deviceAgreesWithTheInterpreter(_ pair: Pair) throws {
    let graph = Graph()
    let task = ImageTask(
      size: pair.size, channels: pair.channels, patch: pair.patch, classes: pair.classes,
      normalization: .init(mean: [], std: []))
    func width(_ features: Int, _ heads: Int) -> TransformerWidth {
      TransformerWidth(features: features, heads: heads, linear: .normal(0.3))
    }
    func dense(_ block: String, _ depths: [Int]) -> VisionTransformer {
      VisionTransformer(
        block: block, task: task, width: width(pair.features, pair.heads),
        stages: depths.map { Array(repeating: BlockOptions(), count: $0) })
    }
    let meta = dense("meta", [1, 1, 1])
    let teacher = dense("teacher", [1, 2, 1])
    var blocks = pair.experts.map { experts in
      BlockOptions(experts: experts.map { .init(count: $0, perToken: pair.perToken, fanIn: .linear) })
    }
    if pair.place > 0 { blocks[0].preStitch = pair.features }
    if pair.place < 2 { blocks[blocks.count - 1].postStitch = pair.features }
    let student = VisionTransformer(
      block: "student", task: task, width: width(pair.studentFeatures, pair.studentHeads), stages: [blocks],
      hasFirst: pair.place == 0, hasLast: pair.place == 2)

    let pass = Forward(graph, training: false, state: StepState.input(in: graph), stream: "")
    func suffix(_ tokens: Value) throws -> Value {
      var x = tokens
      for stage in meta.stages[(pair.place + 1)...] { x = try stage(x, pass) }
      return x
    }
    let images = graph.input("images", [pair.batch, pair.channels, pair.size, pair.size])
    let labels = graph.input("labels", [pair.batch], .u32)
    var h = images
    for stage in meta.stages[..<pair.place] { h = try stage(h, pass) }
    let taught = try suffix(teacher.stages[pair.place](h, pass))
    let logits = try suffix(student(h, pass))
    let rows = try logits.distillationLoss(
      targets: labels, teacher: taught, kind: pair.kind, alpha: pair.alpha, tau: pair.tau, labelSmoothing: 0.1)
    let parameters = student.layout.parameters
    let gradients = try graph.gradients(of: rows.loss, withRespectTo: parameters.map(graph.parameter))
    let results = try [logits, rows.loss.sum()] + gradients.map { try #require($0) }

    var random = CounterRandom(seed: 7, stream: pair.testDescription)
    let inputs = [
      "images": HostTensor(images.type, (0..<images.type.count).map { _ in Double(Float(random.normal())) }),
      "labels": HostTensor(
        labels.type, (0..<pair.batch).map { _ in (random.uniform() * Double(pair.classes)).rounded(.down) }),
    ]
    var values: [String: [Float]] = [:]
    for model in [meta, teacher, student] {
      // Off the start, where norms' weights are 1 and biases 0 and could be confused.
      values[model.layout.block] = model.layout.initialValues(seed: 3, stream: model.layout.block).map {
        $0 + Float(0.1 * random.normal())
      }
    }
    var interpreter = Interpreter(blocks: values.mapValues { $0.map(Double.init) })
    let expected = interpreter.run(Program(graph, results: results, fusing: false), feeding: inputs)
    let actual = try Execution(Program(graph, results: results), blocks: values, on: TestDevice.shared.get())
      .run(feeding: inputs)

    let names = ["logits", "loss"] + parameters.map(\.name)
    for (name, (expected, actual)) in zip(names, zip(expected, actual)) {
      let scale = max(expected.data.map(abs).max() ?? 0, name == "logits" || name == "loss" ? 1 : 1e-4)
      let error = zip(expected.data, actual.data).map { abs($0 - $1) / scale }.reduce(0) {
        $1.isNaN ? .infinity : max($0, $1)
      }
      #expect(error < 2e-5, "\(name): \(error) of \(scale)")
    }
  }
}
