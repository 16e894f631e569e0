import ArgumentParser
import GPU
import Graph
import Ops
import Tuning

struct OpsBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ops", abstract: "Every op of the catalog, at the sizes it meets in training steps.",
    discussion: """
      The sizes are those of a step of the demo's width and batch, and of the paper's base model in a batch of 8; an op \
      that neither has is measured at the largest of its test cases. With --op and --shape any size: the shapes of all \
      inputs, e.g. `--op layer_norm --shape 1576x768,768,768`.
      """)

  @Option(help: "This op alone.") var op: String?
  @Option(help: "Shapes of the inputs of --op, e.g. 8x197x768,768,768.") var shape: InputShapes?
  @Flag(help: "Every variant that the op offers here, not just the chosen one.") var variants = false
  @OptionGroup var options: BenchOptions

  func run() throws {
    let chosen = catalog.filter { op == nil || $0.name == op }
    guard !chosen.isEmpty else {
      throw ValidationError("--op \(op ?? ""): no such op; there are \(catalog.map { $0.name }.joined(separator: ", "))")
    }
    guard shape == nil || op != nil else { throw ValidationError("--shape goes with --op") }
    let cases = try cases(of: chosen)
    let session = try Session(options)
    for opCase in cases { try session.measure(opCase, allVariants: variants) }
    try session.finish()
  }

  /// What was asked for; else what steps meet of each op, or the largest of its test cases.
  private func cases(of ops: [any Op.Type]) throws -> [OpCase] {
    if let shape { return [try shape.opCase(of: ops[0])] }
    let sites = try OpSites.all().flatMap(\.cases)
    var cases: [OpCase] = []
    for op in ops {
      let met = sites.filter { $0.op.name == op.name }
      cases += met.isEmpty ? op.cases.sorted { $0.bytes < $1.bytes }.suffix(1) : met
    }
    return cases
  }
}

/// Extents of each input, `8x197x768,768,768`.
struct InputShapes: ExpressibleByArgument {
  let shapes: [Shape]
  private let text: String

  init?(argument: String) {
    let shapes = argument.split(separator: ",", omittingEmptySubsequences: false).map { input in
      Shape(input.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) ?? 0 })
    }
    guard shapes.allSatisfy({ shape in shape.extents.allSatisfy { 1...(1 << 28) ~= $0 } }) else { return nil }
    self.shapes = shapes
    text = argument
  }

  /// The op with the settings of its first test case that takes these shapes.
  func opCase(of op: any Op.Type) throws -> OpCase {
    var reason = "takes other numbers of inputs: \(Set(op.cases.map(\.inputs.count)).sorted())"
    for test in op.cases where test.inputs.count == shapes.count {
      let types = zip(shapes, test.inputs).map { TensorType($0, $1.type.dtype) }
      // What an op is not asked in `infer`, it may rely on.
      guard zip(shapes, test.inputs).allSatisfy({ $0.rank == $1.type.shape.rank }) else {
        reason = "takes inputs of ranks \(test.inputs.map(\.type.shape.rank))"
        continue
      }
      do throws(ShapeError) {
        _ = try test.op.infer(types)
        return OpCase(test.op, types, named: "asked")
      } catch {
        reason = error.reason
      }
    }
    throw ValidationError("--shape \(text): \(op.name) \(reason)")
  }
}

extension OpCase {
  fileprivate var bytes: Int { inputs.reduce(0) { $0 + $1.type.bytes } }
}

extension Session {
  /// Measures a case, its variants in alternation, and reports them. A case that this device cannot hold is skipped and
  /// said so.
  func measure(_ opCase: OpCase, allVariants: Bool) throws {
    let op = opCase.op
    do {
      let types = opCase.inputs.map(\.type)
      let site = LaunchSite(inputs: types, outputs: try op.infer(types), traits: device.traits)
      let tensors = try OpTensors(opCase, on: device, copies: copies(at: site))
      let variants = try variants(of: op, at: site, all: allVariants)
      let errors = try errors(of: variants, on: tensors)
      let contenders = try variants.map { try Contender($0.name, $0.launch, on: tensors) }
      let timings = try alternate(contenders, seconds: options.seconds)
      for (i, variant) in variants.enumerated() {
        report(
          op: op.name, case: opCase.name, shape: types.map(\.description).joined(separator: " "),
          dtype: types.first?.dtype.rawValue ?? "f32", family: variant.name, timings[i],
          cost: op.cost(site.inputs, site.outputs), error: errors[i])
      }
    } catch where error is VulkanError || error is BenchError {
      note("skipped \(op.name) \(opCase.name): \(error)")
    }
  }

  /// With `--cold` as many copies as no cache of today holds, up to 64; else one.
  func copies(at site: LaunchSite) -> Int {
    options.cold ? OpTensors.copies(exceeding: 256 << 20, at: site) : 1
  }

  /// Each variant's largest error: against the reference where that is done within a second, else against the first
  /// variant, whose own is then unknown.
  private func errors(of variants: [Variant], on tensors: OpTensors) throws -> [Double?] {
    let (op, site) = (tensors.op, tensors.site)
    let isCheap = op.cost(site.inputs, site.outputs).flops <= 20_000_000
    var expected = isCheap ? op.reference(tensors.inputs) : nil
    var errors: [Double?] = []
    for variant in variants where isCheap || variants.count > 1 {
      let actual = try OpTimer(variant.launch, on: tensors).results()
      errors.append(expected.map { largestError(actual, $0) })
      if expected == nil { expected = actual }
    }
    return errors + Array(repeating: nil, count: variants.count - errors.count)
  }
}
