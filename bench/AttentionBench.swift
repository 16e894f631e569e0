import ArgumentParser
import GPU
import Graph
import Ops
import Random
import Tuning

struct AttentionBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "attention", abstract: "Fused self-attention, forward, and forward with backward.")

  @Option(help: "Batch, heads, tokens and head dimension, e.g. B8H12T197D64; may be repeated.")
  var shape: [AttentionShape] = []
  @Option(help: "One of the two: forward, or both (forward and backward as one).") var only: AttentionPart?
  @OptionGroup var options: BenchOptions

  func run() throws {
    let session = try Session(options)
    for shape in shape.isEmpty ? AttentionShape.defaults : shape { try measure(shape, session) }
    try session.finish()
  }

  private func measure(_ shape: AttentionShape, _ session: Session) throws {
    let (tokens, channels) = (shape.tokens, shape.heads * shape.headDimension)
    let qkv: Shape = [shape.batch, tokens, 3 * channels]
    // Not a constant of the graph: the gradient is asked for.
    let graph = Graph()
    let x = graph.input("qkv", qkv)
    let y = try x.attention(heads: shape.heads)
    _ = try graph.gradients(of: y, withRespectTo: [x])
    let nodes = graph.nodes.filter { [Attention.name, AttentionBackward.name].contains($0.op.name) }
    guard nodes.count == 2 else { preconditionFailure("attention is \(graph.nodes.map(\.op.name))") }

    // What backward reads must belong together: probabilities come again from the sums that forward stored.
    let input = OpCase.Fill.normal(1).tensor(TensorType(qkv), CounterRandom(seed: 0, stream: "qkv"))
    let cotangent = OpCase.Fill.normal(1).tensor(TensorType(y.shape), CounterRandom(seed: 0, stream: "cotangent"))
    func site(_ node: Graph.Node) -> LaunchSite {
      LaunchSite(
        inputs: node.inputs.map { graph.types[$0] }, outputs: node.outputs.map { graph.types[$0] },
        traits: session.device.traits)
    }
    let (there, back) = (site(nodes[0]), site(nodes[1]))
    let forwardTensors = try OpTensors(
      nodes[0].op, at: there, inputs: [input], on: session.device, copies: session.copies(at: there))
    let forwardVariant = try session.variants(of: nodes[0].op, at: there)[0]
    let results = try OpTimer(forwardVariant.launch, on: forwardTensors).results()
    let backTensors = try OpTensors(
      nodes[1].op, at: back, inputs: [input] + results + [cotangent], on: session.device,
      copies: session.copies(at: back))
    let backVariant = try session.variants(of: nodes[1].op, at: back)[0]

    let forward = try Contender(forwardVariant.name, forwardVariant.launch, on: forwardTensors)
    let backward = try Contender(backVariant.name, backVariant.launch, on: backTensors)
    let both = Contender.sequence("\(forwardVariant.name), \(backVariant.name)", [forward, backward])
    let cost = nodes[0].op.cost(there.inputs, there.outputs)
    let error = cost.flops <= 20_000_000 ? largestError(results, nodes[0].op.reference([input])) : nil
    var passes = [(name: "forward", contender: forward, cost: cost, error: error)]
    passes.append(("forward+backward", both, cost + nodes[1].op.cost(back.inputs, back.outputs), nil))
    if only == .forward { passes.removeLast() } else if only == .both { passes.removeFirst() }
    for (pass, timings) in zip(passes, try alternate(passes.map(\.contender), seconds: session.options.seconds)) {
      session.report(
        op: "attention", case: "\(shape) \(pass.name)", shape: "\(qkv)", family: pass.contender.family, timings,
        cost: pass.cost, error: pass.error)
    }
  }
}

enum AttentionPart: String, CaseIterable, ExpressibleByArgument { case forward, both }

/// Written B8H12T197D64.
struct AttentionShape: ExpressibleByArgument, CustomStringConvertible {
  let batch: Int
  let heads: Int
  let tokens: Int
  let headDimension: Int

  init(_ batch: Int, _ heads: Int, _ tokens: Int, _ headDimension: Int) {
    self.batch = batch
    self.heads = heads
    self.tokens = tokens
    self.headDimension = headDimension
  }

  init?(argument: String) {
    guard let match = argument.wholeMatch(of: /B(\d{1,5})H(\d{1,3})T(\d{1,5})D(\d{1,4})/) else { return nil }
    guard let b = Int(match.1), let h = Int(match.2), let t = Int(match.3), let d = Int(match.4), b * h * t * d > 0
    else { return nil }
    self.init(b, h, t, d)
  }

  var description: String { "B\(batch)H\(heads)T\(tokens)D\(headDimension)" }

  /// The paper's base model, and the demo.
  static let defaults = [AttentionShape(8, 12, 197, 64), AttentionShape(128, 4, 17, 16)]
}
