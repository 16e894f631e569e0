import GPU
import Graph
import Kernels
import Ops

/// A kernel with its specialization constants, and the ops that launch it.
package struct KernelUse: Sendable {
  package let source: KernelSource
  package let constants: [SpecializationEntry]
  /// Names of the ops, sorted.
  package let ops: [String]

  /// Whether a step's time is spent here, so that spilled registers would matter.
  package var isHot: Bool { ops.contains { Self.hot.contains($0) } }

  private static let hot: Set = [
    AdamW.name, Attention.name, AttentionBackward.name, Gelu.name, GeluBackward.name, GroupedMatmul.name,
    LayerNorm.name, LayerNormBackward.name, LayerNormParameterGradients.name, Matmul.name,
  ]
}

/// Every kernel that some work launches on a device with given traits; pure.
package struct KernelList {
  private struct Key: Hashable {
    let name: String
    let constants: [SpecializationEntry]
  }

  /// Why some work cannot run at all on the device, however it is launched.
  package private(set) var misfits: [String] = []
  private var found: [Key: (source: KernelSource, ops: Set<String>)] = [:]
  private let traits: DeviceTraits

  package init(_ traits: DeviceTraits) { self.traits = traits }

  /// Hot kernels first, then by name and constants.
  package var uses: [KernelUse] {
    let uses = found.map { KernelUse(source: $1.source, constants: $0.constants, ops: $1.ops.sorted()) }
    return uses.sorted { a, b in
      if a.isHot != b.isHot { return a.isHot }
      if a.source.name != b.source.name { return a.source.name < b.source.name }
      return a.constants.map(\.bits).lexicographicallyPrecedes(b.constants.map(\.bits))
    }
  }

  /// The training steps of all phases, and the evaluation.
  package mutating func add(_ recipe: Recipe) throws(RunError) {
    let pairs = Array(0..<recipe.pairs)
    for phase in recipe.allPhases(pairs: pairs) {
      let task = phase.task(recipe)
      add(try attempt(task.name) { () throws(ShapeError) in try StepProgram(task, recipe: recipe).program })
    }
    for block in ["teacher", "student"] {
      guard let model = recipe.classifier(block) else { continue }
      let images = recipe.images(of: block)
      add(try attempt("evaluation") { () throws(ShapeError) in try Evaluator.program(model, images) })
    }
  }

  /// The small cases that the ops' tests walk: odd sizes, rows that are not whole vectors.
  package mutating func addCatalog() throws(RunError) {
    for op in catalog {
      for test in op.cases {
        let inputs = test.inputs.map(\.type)
        let outputs = try attempt(op.name) { () throws(ShapeError) in try test.op.infer(inputs) }
        add(test.op, inputs, outputs)
      }
    }
  }

  private mutating func add(_ program: Program) {
    for node in program.nodes {
      add(node.op, node.inputs.map { program.types[$0] }, node.outputs.map { program.types[$0] })
    }
  }

  private mutating func add(_ op: any Op, _ inputs: [TensorType], _ outputs: [TensorType]) {
    // All that the tuner may choose from.
    let site = LaunchSite(inputs: inputs, outputs: outputs, traits: traits)
    let fitting = op.offers(site).filter { $0.misfit(op, site) == nil }
    if fitting.isEmpty, let misfit = Choices.defaults.launch(op, site).misfit { misfits.append(misfit) }
    for dispatch in fitting.flatMap(\.launch.dispatches) {
      let key = Key(name: dispatch.source.name, constants: dispatch.constants)
      found[key, default: (dispatch.source, [])].ops.insert(op.name)
    }
  }
}
