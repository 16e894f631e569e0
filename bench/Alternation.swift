import Foundation
import GPU
import Graph
import Tuning

/// One of several ways to do the same work.
struct Contender {
  let family: String
  let hasTimestamps: Bool
  /// Seconds of one run, and of this process's processor time for it. Compiled and warm.
  let sample: () throws -> (device: Double, cpu: Double)

  /// A variant of an op, its pipelines checked as a run's are.
  init(_ family: String, _ launch: Launch, on tensors: OpTensors) throws {
    try PipelineCheck(tensors.device).replaced(launch, on: tensors)
    var timer = try OpTimer(launch, on: tensors)
    try timer.warmUp()
    self.init(family, hasTimestamps: timer.hasTimestamps) { try timer.sample() }
  }

  /// Work on the host, or work that is timed elsewhere.
  init(_ family: String, hasTimestamps: Bool, _ sample: @escaping () throws -> (device: Double, cpu: Double)) {
    self.family = family
    self.hasTimestamps = hasTimestamps
    self.sample = sample
  }

  /// Work that blocks this thread, by the host's clock.
  init(_ family: String, running work: @escaping () throws -> Void) rethrows {
    func timed(_ count: Int) throws -> (device: Double, cpu: Double) {
      let (begin, processor) = (ContinuousClock.now, processorSeconds())
      for _ in 0..<count { try work() }
      let elapsed = begin.duration(to: .now) / .seconds(1)
      return (elapsed / Double(count), (processorSeconds() - processor) / Double(count))
    }
    _ = try timed(1)
    let count = max(1, min(1000, Int(2e-3 / max(1e-9, try timed(1).device))))
    self.init(family, hasTimestamps: false) { try timed(count) }
  }

  /// One after the other, as one piece of work.
  static func sequence(_ family: String, _ parts: [Contender]) -> Contender {
    Contender(family, hasTimestamps: parts.allSatisfy(\.hasTimestamps)) {
      try parts.reduce((device: 0, cpu: 0)) { sum, part in
        let sample = try part.sample()
        return (sum.device + sample.device, sum.cpu + sample.cpu)
      }
    }
  }
}

/// Measures contenders in turn, five rounds of all, so that what else happens on the machine hits all alike.
/// - Parameter seconds: for each contender, at the least.
func alternate(_ contenders: [Contender], seconds: Double) throws -> [Timings] {
  let rounds = 5
  var timings = contenders.map { Timings(hasTimestamps: $0.hasTimestamps) }
  for _ in 0..<rounds {
    for (i, contender) in contenders.enumerated() {
      let begin = ContinuousClock.now
      repeat {
        timings[i].add(try contender.sample())
      } while begin.duration(to: .now) < .seconds(seconds / Double(rounds))
    }
  }
  return timings
}

/// Largest |actual - expected| relative to max(1, largest |expected|) over all tensors; integers count as they are.
func largestError(_ actual: [HostTensor], _ expected: [HostTensor]) -> Double {
  zip(actual, expected).reduce(0) { worst, pair in
    let scale = pair.1.data.lazy.filter(\.isFinite).map(abs).reduce(1, max)
    return zip(pair.0.data, pair.1.data).reduce(worst) { worst, x in
      if x.0 == x.1 || x.0.isNaN && x.1.isNaN { return worst }
      let error = abs(x.0 - x.1) / scale
      return error.isFinite ? max(worst, error) : .infinity
    }
  }
}
