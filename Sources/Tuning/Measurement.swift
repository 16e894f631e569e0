import GPU
import Graph

/// Measures the variants of one site after another, within the tuner's time.
struct Measurement {
  let device: Device
  let settings: Tuner.Settings
  let lock: TuningLock?
  let deadline: ContinuousClock.Instant
  private var checker = Checker()

  init(device: Device, settings: Tuner.Settings, lock: TuningLock?, deadline: ContinuousClock.Instant) {
    self.device = device
    self.settings = settings
    self.lock = lock
    self.deadline = deadline
  }

  /// A variant that is being timed.
  private struct Candidate {
    let index: Int
    var timer: OpTimer
    var timings: Timings
    /// Of one run, the first that was not also compiled.
    let firstSeconds: Double
  }

  private var isOver: Bool { .now > deadline }

  /// - Parameter known: trials that stand as they are.
  /// - Throws: if a variant took the device with it.
  mutating func record(_ site: TuningSite, known: [TuningStore.Trial]) throws(TuningError) -> TuningStore.Record {
    var trials = site.variants.map { variant in
      known.first { $0.name == variant.name }
        ?? TuningStore.Trial(name: variant.name, rejected: variant.misfit(site.op, site.site))
    }
    func record(_ chosen: Int) -> TuningStore.Record {
      TuningStore.Record(
        fingerprint: site.fingerprint, extents: site.extents, chosen: site.variants[chosen].name, date: now(),
        trials: trials)
    }
    // The default is the first that fits, as it is for `Choices`.
    guard let first = trials.firstIndex(where: { $0.rejected == nil }) else { return record(0) }
    let others = trials.indices.filter { $0 > first && trials[$0].rejected == nil }
    func skip(_ reason: String) -> TuningStore.Record {
      for i in others where trials[i].rejected == nil { trials[i].rejected = reason }
      return record(first)
    }
    guard !others.isEmpty else { return record(first) }
    guard !isOver else { return skip("no time was left to measure it") }

    var candidates: [Candidate] = []
    do {
      let tensors = try OpTensors(site.op, at: site.site, inputs: site.inputs(), on: device)
      candidates.append(try start(site, first, tensors))
      for i in others {
        if isOver {
          trials[i].rejected = "no time was left to measure it"
          continue
        }
        do {
          let candidate = try start(site, i, tensors)
          if candidate.firstSeconds > settings.hopeless * candidates[0].firstSeconds {
            trials[i].medianSeconds = candidate.firstSeconds
            trials[i].rejected = "slower at the first sample"
          } else {
            candidates.append(candidate)
          }
        } catch let error as VulkanError {
          trials[i].rejected = "\(error)"
        }
      }
      if candidates.count > 1 {
        for i in candidates.indices {
          _ = try Self.blaming(site.variants[candidates[i].index], at: site) { try candidates[i].timer.warmUp() }
        }
      }
      try race(&candidates, at: site)
    } catch let error as TuningError {
      throw error
    } catch VulkanError.deviceLost(let function) {
      throw TuningError(site, lostBeforeAnyVariant: function)
    } catch {
      // Most likely there is no memory for the tensors beside each other; the plan may still fit.
      return skip("the site could not be measured: \(error)")
    }
    for candidate in candidates { trials[candidate.index].medianSeconds = candidate.timings.median }

    let base = candidates[0].timings
    for candidate in candidates.sorted(by: { $0.timings.median < $1.timings.median }) {
      guard candidate.timings.median < (1 - settings.advantage) * base.median, candidate.timings.min < base.min else {
        continue
      }
      let variant = site.variants[candidate.index]
      do {
        let verdict = try Self.blaming(variant, at: site) {
          try checker.check(variant, candidate.timer, against: candidates[0].timer, at: site)
        }
        trials[candidate.index].error = verdict.error
        trials[candidate.index].rejected = verdict.reason
        if verdict.reason == nil { return record(candidate.index) }
      } catch let error as TuningError {
        throw error
      } catch {
        trials[candidate.index].rejected = "\(error)"
      }
    }
    return record(first)
  }

  /// Compiles a variant and runs it for the first time.
  private func start(_ site: TuningSite, _ index: Int, _ tensors: OpTensors) throws -> Candidate {
    let variant = site.variants[index]
    lock?.begin(site, variant)
    defer { lock?.end() }
    return try Self.blaming(variant, at: site) {
      var timer = try OpTimer(variant.launch, on: tensors)
      guard try timer.finishes(within: settings.patience) else {
        throw TuningError(site, variant, "did not finish within \(Int(settings.patience)) s")
      }
      let seconds = try timer.sample().device
      return Candidate(
        index: index, timer: timer, timings: Timings(hasTimestamps: timer.hasTimestamps), firstSeconds: seconds)
    }
  }

  /// Does what runs one variant; a device lost meanwhile is laid on it.
  private static func blaming<Result>(
    _ variant: Variant, at site: TuningSite, _ body: () throws -> Result
  ) throws -> Result {
    do {
      return try body()
    } catch VulkanError.deviceLost(let function) {
      throw TuningError(site, variant, "lost the device (\(function))")
    }
  }

  /// Samples the candidates in turn, so that a disturbance meets all, until their order is clear or time is up.
  private func race(_ candidates: inout [Candidate], at site: TuningSite) throws {
    let begin = ContinuousClock.now
    var running = Array(candidates.indices)
    var rounds = 0
    while running.count > 1 || rounds == 0 {
      for i in running {
        try Self.blaming(site.variants[candidates[i].index], at: site) {
          candidates[i].timings.add(try candidates[i].timer.sample())
        }
      }
      rounds += 1
      guard rounds >= 3 else { continue }
      let best = candidates.map(\.timings.min).min() ?? 0
      // The default stays: the winner is compared with it.
      running.removeAll { $0 > 0 && candidates[$0].timings.min > 1.15 * best }
      let spent = begin.duration(to: .now)
      if rounds >= 15 || rounds >= 7 && spent > .seconds(0.05) || spent > .seconds(0.3) || isOver { return }
    }
  }
}
