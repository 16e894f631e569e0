import ArgumentParser
import Distillation
import Foundation
import GPU
import Graph
import Models
import NN
import Ops

struct CircuitBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "circuit", abstract: "Training steps of a Neural Attentive Circuit: whole, and op by op.",
    discussion: """
      Sizes are the paper's for Tiny-ImageNet: state and codes 384, 6 heads of 64, 64 input, 256 mediator and 64 output \
      latents, 8 iterations, 64 x 64 images, batch 8, stitches to a meta model of width 1280. A step is forward, backward \
      and AdamW of: `mediator`, a mediator student with its stitches, one code for 65 tokens that are given; `read-in`, a \
      read-in student with its stitch, 64 receivers with a state and a code each, which are given; `circuit`, the whole \
      with its noise and drop path, under cross entropy. The students' loss is the sum of their outputs: meta model and \
      teacher are left out, as in bench/torch/circuit.py, the other side of bench/compare_circuit.py.
      """)

  enum Part: String, CaseIterable, ExpressibleByArgument {
    case mediator
    case readIn = "read-in"
    case circuit
  }

  @Argument(help: "What to train: mediator, read-in, circuit; all by default.") var parts: [Part] = Part.allCases
  @Flag(help: "Tell ops apart by the shapes of their inputs.") var shapes = false
  @Flag(help: "Whole steps only, not op by op.") var whole = false
  @OptionGroup var options: BenchOptions

  private static let batch = 8
  private static let classes = 200
  private static let stitch = 1280
  private static let width = CircuitWidth(
    state: 384, code: 384, heads: 6, headDimension: 64, capacity: 2, dropPath: 0.1)
  private static let settings = CircuitSettings(inputs: 64, mediators: 256, outputs: 64)
  private static let images = CircuitImages(
    size: 64, channels: 3, gridFeatures: 64,
    normalization: .init(mean: [0.480, 0.448, 0.398], std: [0.277, 0.269, 0.282]))

  func run() throws {
    let session = try Session(options)
    let rate = try WholeStep.matmulRate(session)
    for part in parts {
      let step = try step(part, session)
      try step.measure(matmulRate: rate, session)
      if !whole { try step.measureOps(shapes: shapes, session) }
    }
    try session.finish()
  }

  private func step(_ part: Part, _ session: Session) throws -> WholeStep {
    let graph = Graph()
    let state = StepState.input(in: graph)
    let forward = Forward(graph, training: true, state: state, stream: "bench")
    let (layout, loss) = try model(part, forward)
    let gradients = try graph.gradients(of: loss, withRespectTo: layout.parameters.map(graph.parameter))
    let norm = try graph.adamW(
      block: layout.block, parameters: layout.parameters, count: layout.count, gradients: gradients,
      decays: { _ in true }, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.05, maxNorm: nil, state: state)
    let program = try session.layout(Program(graph, results: [loss.sum(), norm]))
    let parameters = try ModuleState(
      layout, values: layout.initialValues(seed: 0, stream: layout.block), isTrained: true, device: session.device)
    let memory = program.bytes + ModuleState.bytes(layout, isTrained: true)
    session.note(
      "\(part.rawValue): \(layout.elements) parameters, \(memory >> 20) MiB of device memory "
        + "with parameters and moments")
    return WholeStep(
      name: part.rawValue, shape: "batch \(Self.batch)", layout: program, blocks: parameters.blocks,
      feed: feed(graph))
  }

  /// What is trained, and rows that add up to its loss.
  private func model(_ part: Part, _ forward: Forward) throws(ShapeError) -> (ParameterLayout, Value) {
    let (graph, batch, width, images) = (forward.graph, Self.batch, Self.width, Self.images)
    let image = graph.input("images", [batch, images.channels, images.size, images.size], .u8)
    let kind: CircuitStudent.Kind
    switch part {
    case .circuit:
      let circuit = NeuralCircuit(
        block: "circuit", width: width, settings: Self.settings, images: images, classes: Self.classes)
      let logits = try circuit(image, noise: CircuitNoise(forward), forward).logits
      let labels = graph.input("labels", [batch], .u32)
      return (circuit.layout, try logits.distillationLoss(targets: labels, kind: .none).loss)
    case .mediator: kind = .mediator
    case .readIn: kind = .readIn
    }
    let student = CircuitStudent(
      block: "student", kind: kind, width: width, stitch: Self.stitch, images: images, classes: Self.classes)
    let receivers = kind == .readIn ? Self.settings.inputs : 1
    let latents = CircuitStudent.Latents(
      codes: graph.input("codes", [receivers, width.code]),
      states: graph.input("states", [batch, receivers, width.state]))
    let tokens = graph.input("tokens", [batch, 1 + images.size / 8 * images.size / 8, Self.stitch])
    return (student.layout, try student(kind == .readIn ? image : tokens, latents, forward))
  }

  /// Step 1 with noise for everything.
  private func feed(_ graph: Graph) -> (Plan.Feed) -> Void {
    let state = StepState(step: 1, learningRate: 1e-4, seed: 0).words(beta1: 0.9, beta2: 0.999)
    return { feed in
      feed.set(StepState.inputName, state[...])
      for name in ["images", "codes", "states", "tokens", "labels"] {
        guard let memory = feed[name] else { continue }
        switch name {
        case "images": for i in memory.indices { memory[i] = madeUpByte(i) }
        case "labels": memory.bindMemory(to: UInt32.self).update(repeating: 7)
        default:
          let floats = memory.bindMemory(to: Float.self)
          for i in floats.indices { floats[i] = Float(madeUpByte(i)) / 64 - 2 }
        }
      }
    }
  }
}
