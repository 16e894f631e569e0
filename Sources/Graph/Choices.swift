/// Which variant of an op runs at which site. Empty, it is the default table: each op's first variant.
package struct Choices: Sendable, Hashable {
  /// Names of variants by `key`.
  package var names: [String: String]

  package static let defaults = Choices([:])

  package init(_ names: [String: String]) { self.names = names }

  /// What identifies a site on one device and driver: the op with its settings, and the types of its inputs.
  package static func key(_ op: any Op, _ inputs: [TensorType]) -> String {
    "\(op.name) \(op) \(inputs.map(\.description).joined(separator: " "))"
  }

  /// The chosen variant; the first where nothing was chosen, or what was chosen is not offered any more.
  package func launch(_ op: any Op, _ site: LaunchSite) -> Launch {
    guard !names.isEmpty else { return op.launch(site) }
    let variants = op.variants(site)
    guard variants.count > 1, let name = names[Self.key(op, site.inputs)] else { return op.launch(site) }
    return variants.first { $0.name == name }?.launch ?? op.launch(site)
  }
}
