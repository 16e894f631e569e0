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

  /// The variant to run: the chosen one, or the first where nothing was chosen or what was chosen is not offered any more.
  /// One that does not fit the device gives way to the first that does; where none does, `misfit` says so.
  package func launch(_ op: any Op, _ site: LaunchSite) -> (launch: Launch, misfit: String?) {
    let first = op.launch(site).formed(for: site, colocation: op.colocated)
    let misfit = first.misfit(at: site, colocation: op.colocated)
    guard !names.isEmpty || misfit != nil else { return (first, nil) }
    let variants = op.offers(site)
    if let name = names.isEmpty ? nil : names[Self.key(op, site.inputs)],
      let chosen = variants.first(where: { $0.name == name }), chosen.misfit(op, site) == nil
    {
      return (chosen.launch, nil)
    }
    guard let misfit else { return (first, nil) }
    if let fitting = variants.first(where: { $0.misfit(op, site) == nil }) { return (fitting.launch, nil) }
    return (first, "\(op.name)(\(site.inputs.map(\.description).joined(separator: ", "))): \(misfit)")
  }
}

extension Variant {
  /// Why the device of the site cannot run it, or nil.
  package func misfit(_ op: any Op, _ site: LaunchSite) -> String? {
    launch.misfit(at: site, colocation: op.colocated)
  }
}
