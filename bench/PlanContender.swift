import GPU
import Graph
import Tuning

extension Contender {
  /// A whole program, its read-back excluded: the sum of its ops' times on the device, or the host's clock where there are
  /// no time stamps.
  init(
    _ family: String, _ layout: PlanLayout, on device: Device, blocks: [String: Buffer],
    feeding feed: @escaping (Plan.Feed) -> Void = { _ in }
  ) throws {
    let isProfiled = device.plan.hasTimestamps
    let plan = try Plan(layout, on: device, blocks: blocks, slots: 1, profiling: isProfiled)
    for _ in 0..<2 { try plan.run(feeding: feed).ticket.wait() }
    self.init(family, hasTimestamps: isProfiled) {
      let (begin, processor) = (ContinuousClock.now, processorSeconds())
      try plan.run(feeding: feed).ticket.wait()
      let elapsed = begin.duration(to: .now) / .seconds(1)
      let cpu = processorSeconds() - processor
      let ops = try plan.opSeconds()
      return (ops.map { $0.reduce(0) { $0 + $1.seconds } } ?? elapsed, cpu)
    }
  }
}
