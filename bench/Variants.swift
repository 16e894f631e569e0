import Graph
import Tuning

extension Session {
  /// The kernels that a run of these programs would take: what was not measured on this device before is measured now,
  /// unless the default table was asked for.
  func choices(for programs: [Program]) throws -> Choices {
    guard options.tune else { return .defaults }
    return try Tuner(device, notice: { self.note($0) }).choose(for: programs.map { ($0, 1) }).choices
  }

  /// The layout of a program with these kernels; throws if the device cannot run it.
  func layout(_ program: Program, frozen: Set<String> = []) throws -> PlanLayout {
    let choices = try choices(for: [program])
    let layout = PlanLayout(program, traits: device.traits, choices: choices, frozen: frozen)
    if let misfit = layout.misfit { throw BenchError("\(device.snapshot.name) cannot run this: \(misfit)") }
    try PipelineCheck(device).run([(program, 1)], choices: choices)
    return layout
  }

  /// The variant that a run would take at a site; or all that the device can run, the default first.
  func variants(of op: any Op, at site: LaunchSite, all: Bool = false) throws -> [Variant] {
    let variants = op.offers(site)
    let fitting = variants.filter { $0.misfit(op, site) == nil }
    guard let first = fitting.first else {
      throw BenchError("\(device.snapshot.name) cannot run this: \(variants[0].misfit(op, site) ?? "")")
    }
    if all || fitting.count == 1 { return fitting }
    let graph = Graph()
    let inputs = site.inputs.enumerated().map { graph.input("\($0)", $1.shape, $1.dtype) }
    let program = Program(graph, results: try graph.apply(op, to: inputs), fusing: false)
    let name = try choices(for: [program]).names[Choices.key(op, site.inputs)]
    return [fitting.first { $0.name == name } ?? first]
  }
}
