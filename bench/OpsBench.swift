import ArgumentParser
import GPU
import Graph
import Ops
import Tuning

struct OpsBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ops", abstract: "Every op of the catalog, at the sizes of the demo and of the paper's models.")

  @Option(help: "This op alone.") var op: String?
  @Flag(help: "Every variant that the op offers here, not just the default.") var variants = false
  @OptionGroup var options: BenchOptions

  func run() throws {
    let chosen = catalog.filter { op == nil || $0.name == op }
    guard !chosen.isEmpty else {
      throw ValidationError("--op \(op ?? ""): no such op; there are \(catalog.map(\.name).joined(separator: ", "))")
    }
    let session = try Session(options)
    for op in chosen {
      for opCase in op.benchCases { try session.measure(opCase, allVariants: variants) }
    }
    try session.finish()
  }
}

extension Op {
  /// What benches measure: `benches`, or the largest of the test cases.
  static var benchCases: [OpCase] {
    if !benches.isEmpty { return benches }
    func bytes(_ test: OpCase) -> Int { test.inputs.reduce(0) { $0 + $1.type.bytes } }
    return cases.max { bytes($0) < bytes($1) }.map { [$0] } ?? []
  }
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
      let variants = allVariants ? op.variants(site) : Array(op.variants(site).prefix(1))
      let errors = try errors(of: variants, on: tensors)
      let contenders = try variants.map { try Contender($0.name, $0.launch, on: tensors) }
      let timings = try alternate(contenders, seconds: options.seconds)
      for (i, variant) in variants.enumerated() {
        report(
          op: op.name, case: opCase.name, shape: types.map(\.description).joined(separator: " "),
          dtype: types.first?.dtype.rawValue ?? "f32", family: variant.name, timings[i],
          cost: op.cost(site.inputs, site.outputs), error: errors[i])
      }
    } catch let error as VulkanError {
      note("skipped \(op.name) \(opCase.name): \(error)")
    }
  }

  /// With `--cold` as many copies as no cache of today holds; else one.
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
