import Distillation
import Foundation
import GPU
import Graph
import Tuning

/// A training step to time: as a whole, and op by op.
struct WholeStep {
  let name: String
  /// Of the batch, e.g. `batch 8`.
  let shape: String
  let layout: PlanLayout
  let blocks: [String: Buffer]
  let feed: (Plan.Feed) -> Void

  /// Whole steps by the host's clock, a row of op `step`.
  /// - Parameter matmulRate: operations per second that the step's are compared with.
  func measure(matmulRate: Double, _ session: Session) throws {
    let plan = try Plan(layout, on: session.device, blocks: blocks)
    for _ in 0..<2 { try plan.run(feeding: feed).ticket.wait() }
    var timings = Timings(hasTimestamps: false)
    var host: [Double] = []
    let begin = ContinuousClock.now
    while timings.device.count < 5 || begin.duration(to: .now) < .seconds(session.options.seconds) {
      let (start, processor) = (ContinuousClock.now, processorSeconds())
      var clock = HostClock()
      clock.start()
      let run = try plan.run(feeding: feed)
      clock.stop()
      try run.ticket.wait()
      timings.add((start.seconds, processorSeconds() - processor))
      host.append(clock.seconds)
    }
    let matmulFraction = Double(layout.cost.flops) / timings.median / matmulRate
    let hostMilliseconds = 1e3 * host.sorted()[host.count / 2]
    session.report(
      op: "step", case: name, shape: shape, family: "\(plan.dispatchCount) dispatches", timings, cost: layout.cost,
      relative: ["matmul": matmulFraction],
      step: Row.Step(
        hostMilliseconds: hostMilliseconds, dispatches: plan.dispatchCount, barriers: plan.barrierCount))
    guard !session.options.json else { return }
    print(
      String(
        format: "  %.2f GFLOP at %.0f %% of the rate of matmul; %d dispatches, %d barriers; host work %.3f ms",
        1e-9 * Double(layout.cost.flops), 100 * matmulFraction, plan.dispatchCount, plan.barrierCount,
        hostMilliseconds))
  }

  /// The ops of profiled steps, added up by name.
  /// - Parameter shapes: ops of one name are told apart by the shapes of their inputs.
  func measureOps(shapes: Bool, _ session: Session) throws {
    guard session.device.plan.hasTimestamps else {
      return session.note("  no times of single ops: no time stamps")
    }
    let types = layout.program.types
    let names = layout.program.nodes.map { node in
      shapes
        ? "\(node.op.name) \(node.inputs.prefix(2).map { types[$0].description }.joined(separator: " "))" : node.op.name
    }
    var kinds: [String: (op: String, count: Int, cost: Cost, timings: Timings)] = [:]
    for (node, name) in zip(layout.program.nodes, names) {
      let cost = layout.program.cost(of: node)
      let known = kinds[name] ?? (node.op.name, 0, Cost(flops: 0, bytes: 0), Timings(hasTimestamps: true))
      kinds[name] = (known.op, known.count + 1, known.cost + cost, known.timings)
    }
    let plan = try Plan(layout, on: session.device, blocks: blocks, profiling: true)
    try plan.run(feeding: feed).ticket.wait()
    let begin = ContinuousClock.now
    var runs = 0
    while runs < 3 || begin.duration(to: .now) < .seconds(session.options.seconds) {
      try plan.run(feeding: feed).ticket.wait()
      var sums: [String: Double] = [:]
      for ((_, seconds), name) in zip(try plan.opSeconds() ?? [], names) { sums[name, default: 0] += seconds }
      for (name, seconds) in sums { kinds[name]?.timings.add((seconds, .nan)) }
      runs += 1
    }
    for (name, kind) in kinds.sorted(by: { $0.value.timings.median > $1.value.timings.median }) {
      let shape = shapes ? String(name.dropFirst(kind.op.count + 1)) : "all"
      session.report(
        op: kind.op, case: shapes ? "step \(self.name) \(shape)" : "step \(self.name)", shape: shape,
        family: "\(kind.count) ops", kind.timings, cost: kind.cost)
    }
  }

  /// Operations per second of y = x W^T at 512 x 512 x 512: what a step's are compared with.
  static func matmulRate(_ session: Session) throws -> Double {
    let opCase = try MatmulForm.nt.opCase(MatmulShape(512, 512, 512))
    let tensors = try OpTensors(opCase, on: session.device)
    let variant = try session.variants(of: opCase.op, at: tensors.site)[0]
    let contender = try Contender(variant.name, variant.launch, on: tensors)
    let seconds = try alternate([contender], seconds: session.options.seconds)[0].min
    let rate = Double(opCase.op.cost(tensors.site.inputs, tensors.site.outputs).flops) / seconds
    session.note(String(format: "matmul of 512 x 512 x 512: %.1f GFLOP/s", 1e-9 * rate))
    return rate
  }
}
