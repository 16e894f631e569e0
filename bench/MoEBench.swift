import ArgumentParser
import Distillation
import GPU
import Graph
import NN
import Ops
import Random
import Tuning

struct MoEBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "moe",
    abstract: "The experts of a mixture beside one dense product of as many operations; then more experts.",
    discussion: """
      The products of a layer with uneven routing (the share of expert e falls as 1 / (e + 1)) beside dense products over \
      as many rows, in alternation; then the whole layer forward and backward with a growing number of experts and the \
      same tokens.
      """)

  @Option(help: "Tokens x channels x hidden channels, e.g. 1040x192x768; may be repeated.") var size: [MoESize] = []
  @Option(help: "Experts of the products.") var experts = 8
  @Option(help: "Experts that a token goes to.") var top = 2
  @Option(parsing: .upToNextOption, help: "Numbers of experts of the layers.") var layers: [Int] = [8, 64]
  @OptionGroup var options: BenchOptions

  func validate() throws {
    for size in size {
      let most = ([experts] + layers).max() ?? 1
      try checkSizes(
        "--size \(size)", [[size.tokens, top, max(size.features, size.hidden)], [most, size.features, size.hidden]])
    }
    for count in [experts] + layers where !(1...1024 ~= count) || top < 1 || top > count {
      throw ValidationError(
        "--top \(top) of \(count) experts: expected 1 to 1024 experts, and as many or fewer of them")
    }
  }

  func run() throws {
    let session = try Session(options)
    // The middle teaching pair of a student of width 192, and the paper's base model.
    let (middle, base) = (MoESize(1040, 192, 768), MoESize(1576, 768, 3072))
    for size in size.isEmpty ? [middle, base] : size { try products(size, session) }
    for size in size.isEmpty ? [middle] : size { try growth(size, session) }
    try session.finish()
  }

  // MARK: Products

  /// Each grouped product of a layer's forward and backward pass beside the dense one over the same rows.
  private func products(_ size: MoESize, _ session: Session) throws {
    let (tokens, features, hidden) = (size.tokens, size.features, size.hidden)
    let (grouped, slots) = (Graph(), tokens * top)
    let picks = grouped.input("picks", [tokens, top], .u32)
    let routing = try picks.routed(experts: experts)
    let x = grouped.input("x", [tokens, features])
    let weights = grouped.input("weights", [experts, hidden, features])
    let y = try x.groupedMatmul(weights, transposing: .right, routing: routing, gathering: true)
    _ = try grouped.gradients(of: y, withRespectTo: [x, weights])
    let routed = grouped.nodes[0].op.reference([unevenPicks(tokens)])
    let known = [routing.offsets.id: routed[0], routing.entries.id: routed[1], routing.slots.id: routed[2]]

    let dense = Graph()
    let rows = dense.input("x", [slots, features])
    let matrix = dense.input("weights", [hidden, features])
    let product = try rows.matmul(matrix, transposing: .right)
    _ = try dense.gradients(of: product, withRespectTo: [rows, matrix])

    // Both gradient rules append dx, then dW, behind the forward product.
    let pairs = zip(
      grouped.nodes.filter { $0.op.name == GroupedMatmul.name }, dense.nodes.filter { $0.op.name == Matmul.name })
    for (name, pair) in zip(["y = x W^T", "dx = dy W", "dW = dy^T x"], pairs) {
      let ours = try contender(pair.0, in: grouped, known: known, session)
      let other = try contender(pair.1, in: dense, known: [:], session)
      let timings = try alternate([ours.contender, other.contender], seconds: options.seconds)
      let shape = "\(slots)x\(hidden)x\(features)"
      session.report(
        op: GroupedMatmul.name, case: "\(name) \(size), \(experts) experts", shape: shape,
        family: ours.contender.family,
        timings[0], cost: ours.cost, relative: ["dense": timings[1].min / timings[0].min])
      session.report(
        op: Matmul.name, case: "\(name) \(size), as many rows", shape: shape, family: other.contender.family,
        timings[1],
        cost: other.cost)
      if !options.json {
        let ratio = 100 * timings[1].min / timings[0].min
        print("  \(name) \(size): \(Int(ratio.rounded())) % of the dense product's speed")
      }
    }
  }

  /// Each token's experts, all different, drawn with weights 1 / (e + 1).
  private func unevenPicks(_ tokens: Int) -> HostTensor {
    var random = CounterRandom(seed: 0, stream: "uneven routing")
    var picks: [Double] = []
    for _ in 0..<tokens {
      var left = (0..<experts).map { (expert: $0, weight: 1 / Double($0 + 1)) }
      for _ in 0..<top {
        var place = random.uniform() * left.reduce(0) { $0 + $1.weight }
        let index =
          left.firstIndex {
            place -= $0.weight
            return place <= 0
          } ?? left.count - 1
        picks.append(Double(left.remove(at: index).expert))
      }
    }
    return HostTensor(TensorType([tokens, top], .u32), picks)
  }

  private func contender(
    _ node: Graph.Node, in graph: Graph, known: [Int: HostTensor], _ session: Session
  ) throws -> (contender: Contender, cost: Cost) {
    let site = LaunchSite(
      inputs: node.inputs.map { graph.types[$0] }, outputs: node.outputs.map { graph.types[$0] },
      traits: session.device.traits)
    let inputs = node.inputs.map { id in
      known[id] ?? OpCase.Fill.normal(1).tensor(graph.types[id], CounterRandom(seed: 0, stream: "value \(id)"))
    }
    let tensors = try OpTensors(
      node.op, at: site, inputs: inputs, on: session.device, copies: session.copies(at: site))
    let variant = try session.variants(of: node.op, at: site)[0]
    return (
      try Contender(variant.name, variant.launch, on: tensors), node.op.cost(site.inputs, site.outputs)
    )
  }

  // MARK: Layers

  private func growth(_ size: MoESize, _ session: Session) throws {
    var made: [(experts: Int, contender: Contender, cost: Cost)] = []
    for experts in layers {
      do {
        let layer = try layer(size, experts: experts, session)
        made.append((experts, layer.contender, layer.cost))
      } catch let error as BenchError {
        session.note("skipped layer \(size), \(experts) experts: \(error)")
      }
    }
    let timings = try alternate(made.map(\.contender), seconds: options.seconds)
    for (i, (experts, _, _)) in made.enumerated() {
      let relative = i == 0 ? [:] : ["\(made[0].experts) experts": timings[0].min / timings[i].min]
      session.report(
        op: "mixture_of_experts", case: "layer \(size), \(experts) experts",
        shape: "[\(size.tokens), \(size.features)]",
        family: made[i].contender.family, timings[i], cost: made[i].cost, relative: relative)
    }
  }

  /// Gate, routing, both products and the mixing, with the gradients of everything, on tokens that are noise.
  private func layer(
    _ size: MoESize, experts: Int, _ session: Session
  ) throws -> (contender: Contender, cost: Cost) {
    let builder = ParameterBuilder(block: "layer")
    let layer = MixtureOfExperts(
      builder.root, features: size.features, hidden: size.hidden, experts: experts, k: top, gate: .normal(0.1),
      expertFanIn: .linear)
    let layout = builder.layout
    let graph = Graph()
    let noise = OpCase.Fill.normal(1).tensor(
      TensorType([size.tokens, size.features]), CounterRandom(seed: 0, stream: "tokens"))
    let x = graph.constant(noise)
    let y = try layer(x, Forward(graph, training: true, state: StepState.input(in: graph), stream: "layer"))
    let gradients = try graph.gradients(of: y, withRespectTo: [x] + layout.parameters.map(graph.parameter))
    let program = try session.layout(Program(graph, results: [y] + gradients.compactMap { $0 }))
    let parameters = try ModuleState(
      layout, values: layout.initialValues(seed: 0, stream: "layer"), isTrained: false, device: session.device)
    return (
      try Contender("forward+backward", program, on: session.device, blocks: parameters.blocks), program.cost
    )
  }
}

/// Tokens x channels x hidden channels.
struct MoESize: ExpressibleByArgument, CustomStringConvertible {
  let tokens: Int
  let features: Int
  let hidden: Int

  init(_ tokens: Int, _ features: Int, _ hidden: Int) {
    self.tokens = tokens
    self.features = features
    self.hidden = hidden
  }

  init?(argument: String) {
    guard let shape = MatmulShape(argument: argument) else { return nil }
    self.init(shape.m, shape.n, shape.k)
  }

  var description: String { "\(tokens)x\(features)x\(hidden)" }
}
