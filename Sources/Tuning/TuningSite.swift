import GPU
import Graph

/// An op at a site that has a choice.
package struct TuningSite: Sendable {
  package let key: String
  package let op: any Op
  package let site: LaunchSite
  package let variants: [Variant]
  /// Of the op's name and of all variants' names, kernels and constants.
  package let fingerprint: String
  /// Share of the programs' work, roughly: operations, and four for each byte moved, in all runs.
  package private(set) var weight: Double

  /// The sites of programs that have more than one variant, each once, the heaviest first.
  /// - Parameter programs: with how often each one will run.
  package static func of(_ programs: [(program: Program, runs: Int)], traits: DeviceTraits) -> [TuningSite] {
    var sites: [String: TuningSite] = [:]
    for (program, runs) in programs {
      for node in program.nodes {
        let site = program.site(of: node, traits: traits)
        let key = Choices.key(node.op, site.inputs)
        let cost = node.op.cost(site.inputs, site.outputs)
        let weight = Double(runs) * (Double(cost.flops) + 4 * Double(cost.bytes))
        if sites[key] != nil {
          sites[key]?.weight += weight
        } else {
          let variants = node.op.offers(site)
          guard variants.count > 1 else { continue }
          sites[key] = TuningSite(
            key: key, op: node.op, site: site, variants: variants, fingerprint: fingerprint(node.op, variants),
            weight: weight)
        }
      }
    }
    return sites.values.sorted { ($1.weight, $0.key) < ($0.weight, $1.key) }
  }

  var extents: [[Int]] { site.inputs.map(\.shape.extents) }

  /// Whether what was measured elsewhere holds here: the same code, and every extent at most twice or half as large.
  func isLike(_ record: TuningStore.Record) -> Bool {
    record.isMeasured && record.fingerprint == fingerprint
      && record.extents.elementsEqual(extents) { a, b in
        a.elementsEqual(b) { $0 <= 2 * $1 && $1 <= 2 * $0 }
      }
  }

  private static func fingerprint(_ op: any Op, _ variants: [Variant]) -> String {
    let text = variants.map { "\($0.name):\($0.launch.code)\n" }.joined()
    return String(TuningStore.hash((op.name + text).utf8), radix: 16)
  }

  /// Inputs of the site's types, the same in every run.
  func inputs() -> [HostTensor] {
    zip(site.inputs, op.fills(site.inputs)).enumerated().map { i, input in
      input.1.tensor(input.0, .init(seed: 0, stream: "tuning input \(i)"))
    }
  }
}

extension Launch {
  /// Its kernels and their constants, as text that changes with any of them.
  var code: String {
    dispatches.map { dispatch in
      " \(KernelFacts.of(dispatch.source).fingerprint)"
        + dispatch.constants.map { ",\($0.id)=\($0.bits)" }.joined()
    }.joined()
  }
}

extension Program {
  /// Of all its kernels and their constants, with the default table.
  package func fingerprint(_ traits: DeviceTraits) -> String {
    let text = nodes.map { $0.op.launch(site(of: $0, traits: traits)).code }.joined(separator: "\n")
    return String(TuningStore.hash(text.utf8), radix: 16)
  }
}
