import GPU
import Graph

/// Compares what a variant computes with what it should.
struct Checker {
  /// Seconds of the reference in Double for one operation, by op, as far as it was timed.
  private var secondsPerOperation: [String: Double] = [:]

  /// Longer than this no reference may take.
  private static let patience = 0.4

  struct Verdict {
    /// Largest |variant - expected|, relative to max(1, largest |expected|).
    var error: Double?
    /// Why the variant is wrong, nil if it is right.
    var reason: String?
  }

  /// In Double at the site's own size where that takes no time; else against the default variant at that size, and in Double
  /// on a small case of the catalog, if possible one that runs the same kernels.
  mutating func check(
    _ variant: Variant, _ timer: OpTimer, against base: OpTimer, at site: TuningSite
  ) throws(VulkanError) -> Verdict {
    let tensors = timer.tensors
    let results = try timer.results()
    let tolerance = variant.tolerance(of: type(of: site.op).cases.map(\.tolerance).max() ?? 1e-4)
    if mayRunReference(of: site.op, tensors.site) {
      return Verdict(results, expected: reference(of: tensors), tolerance)
    }
    // Both are rounded here.
    let verdict = Verdict(
      results, expected: try base.results(), 2 * site.variants[0].tolerance(of: tolerance))
    guard verdict.reason == nil else { return verdict }
    guard let (opCase, launch) = smallCase(variant, site) else {
      return Verdict(
        error: verdict.error, reason: "too large to be checked, and no case of the catalog has this variant")
    }
    let small: OpTensors
    do { small = try OpTensors(opCase, on: tensors.device) } catch {
      return Verdict(error: verdict.error, reason: "case \(opCase.name): \(error)")
    }
    let exact = Verdict(
      try OpTimer(launch, on: small).results(), expected: reference(of: small),
      variant.tolerance(of: opCase.tolerance))
    return Verdict(
      error: max(verdict.error ?? 0, exact.error ?? 0), reason: exact.reason.map { "case \(opCase.name): \($0)" })
  }

  private func operations(_ op: any Op, _ site: LaunchSite) -> Double {
    let cost = op.cost(site.inputs, site.outputs)
    return Double(max(cost.flops, cost.bytes / 4))
  }

  private func mayRunReference(of op: any Op, _ site: LaunchSite) -> Bool {
    operations(op, site) * (secondsPerOperation[op.name] ?? 2e-8) < Checker.patience
  }

  private mutating func reference(of tensors: OpTensors) -> [HostTensor] {
    let begin = ContinuousClock.now
    let results = tensors.op.reference(tensors.inputs)
    let seconds = begin.duration(to: .now) / .seconds(1)
    secondsPerOperation[tensors.op.name] = seconds / max(1, operations(tensors.op, tensors.site))
    return results
  }

  /// The case, and the launch of the variant there.
  private func smallCase(_ variant: Variant, _ site: TuningSite) -> (OpCase, Launch)? {
    func kernels(_ launch: Launch) -> [String] { launch.dispatches.map { "\($0.source.name) \($0.constants)" } }
    var found: [(rank: Int, opCase: OpCase, launch: Launch)] = []
    for opCase in type(of: site.op).cases {
      let types = opCase.inputs.map(\.type)
      guard let outputs = try? opCase.op.infer(types) else { continue }
      let small = LaunchSite(inputs: types, outputs: outputs, traits: site.site.traits)
      let same = opCase.op.offers(small).first { $0.name == variant.name && $0.misfit(opCase.op, small) == nil }
      guard let launch = same?.launch, mayRunReference(of: opCase.op, small) else { continue }
      let rank = kernels(launch) == kernels(variant.launch) ? 0 : "\(opCase.op)" == "\(site.op)" ? 1 : 2
      found.append((rank, opCase, launch))
    }
    return found.min { $0.rank < $1.rank }.map { ($0.opCase, $0.launch) }
  }
}

extension Checker.Verdict {
  /// Integers must be equal, floats within `tolerance`; what is not finite must be so in the same way.
  init(_ results: [HostTensor], expected: [HostTensor], _ tolerance: Double) {
    error = 0
    for (i, (result, expected)) in zip(results, expected).enumerated() {
      let scale = expected.data.lazy.filter(\.isFinite).map(abs).reduce(1, max)
      let allowed = expected.type.dtype == .f32 ? tolerance : 0
      for (j, (a, e)) in zip(result.data, expected.data).enumerated() where a != e && !(a.isNaN && e.isNaN) {
        let deviation = abs(a - e) / scale
        if deviation <= allowed {
          error = max(error ?? 0, deviation)
        } else {
          error = deviation.isFinite ? deviation : nil
          reason = "result \(i) is wrong: element \(j) is \(a), not \(e)"
          return
        }
      }
    }
  }
}
