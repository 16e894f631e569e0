import GPU
import Kernels

extension Op {
  /// The variants as the site's device runs them, or as near to it as they come: see `misfit`. On hardware, those that read texel
  /// buffers a second time with storage buffers: which way is faster is a matter of the device, and no compiler's figure tells.
  package func offers(_ site: LaunchSite) -> [Variant] {
    func formed(_ variant: Variant, _ name: String, fromBuffers: Bool) -> Variant {
      Variant(
        name, variant.launch.formed(for: site, colocation: colocated, fromBuffers: fromBuffers),
        roundsFactors: variant.roundsFactors)
    }
    let variants = variants(site)
    let usual = variants.map { formed($0, $0.name, fromBuffers: false) }
    guard !site.traits.isSoftware else { return usual }
    let fromBuffers = variants.map { formed($0, "\($0.name), buffers", fromBuffers: true) }
    return usual + zip(usual, fromBuffers).filter { $0.launch.viewsTexels && !$1.launch.viewsTexels }.map(\.1)
  }
}

extension Launch {
  /// The launch with its kernels in the forms that the site's device takes. Ops launch kernels that read texel buffers and shuffle; what
  /// a device has in place of these is no concern of theirs.
  /// - Parameters:
  ///   - colocation: of the op, for the size of `Operand.colocated`.
  ///   - fromBuffers: reads no texel buffers, if the device can bind as many storage buffers.
  package func formed(for site: LaunchSite, colocation: Colocation? = nil, fromBuffers: Bool = false) -> Launch {
    var launch = self
    launch.dispatches = dispatches.map { dispatch in
      dispatch.formed(site.traits, fromBuffers) { bytes(of: $0, at: site, colocation) }
    }
    return launch
  }

  fileprivate var viewsTexels: Bool { dispatches.contains(where: \.viewsTexels) }

  /// What is bound for an operand.
  package func bytes(of operand: Operand, at site: LaunchSite, _ colocation: Colocation?) -> Int {
    operand.bytes?.count ?? bytes(of: operand.place, at: site, colocation)
  }

  /// Of the whole tensor.
  package func bytes(of place: Operand.Place, at site: LaunchSite, _ colocation: Colocation?) -> Int {
    switch place {
    case .input(let i): site.inputs[i].bytes
    case .output(let i): site.outputs[i].bytes
    case .scratch(let i): scratch[i].bytes
    case .colocated: colocation?.bytes ?? 0
    case .unused: 0
    }
  }
}

extension Dispatch {
  fileprivate var viewsTexels: Bool { operands.contains { $0.format != nil } }

  fileprivate func formed(_ traits: DeviceTraits, _ fromBuffers: Bool, bytes: (Operand) -> Int) -> Dispatch {
    let isTooLarge = operands.contains { operand in
      operand.format.map { bytes(operand) / $0.bytes > traits.maxTexelBufferElements } ?? false
    }
    var formed = self
    if viewsTexels, fromBuffers || isTooLarge, operands.count <= traits.maxStorageBuffers,
      operands.allSatisfy({ $0.format == nil || $0.format?.words != nil })
    {
      formed.source = source.readingBuffers(operands.map(\.format))
      formed.operands = operands.map(\.asBuffer)
    }
    if traits.subgroupSize == 1, KernelFacts.of(source).shuffles {
      formed.source = formed.source.withLoneInvocations
    }
    if traits.broadcastsLanes {
      formed.constants = constants + [SpecializationEntry(id: KernelSource.broadcastsID, bits: 1)]
    }
    return formed
  }
}
