import GPU
import Kernels

extension Launch {
  /// Why the device cannot run this launch, or nil: sizes against limits, decided before a pipeline is made. Pure.
  /// - Parameter colocation: of the op, for the size of `Operand.colocated`.
  package func misfit(at site: LaunchSite, colocation: Colocation? = nil) -> String? {
    for dispatch in dispatches {
      if let reason = dispatch.misfit(site.traits) ?? misfit(dispatch, at: site, colocation) {
        return "kernel '\(dispatch.source.name)' \(reason)"
      }
    }
    return nil
  }

  /// The first operand that is larger than the device lets a binding be.
  private func misfit(_ dispatch: Dispatch, at site: LaunchSite, _ colocation: Colocation?) -> String? {
    for (operand, binding) in zip(dispatch.operands, dispatch.source.bindings) {
      let bytes = bytes(of: operand, at: site, colocation)
      let (asked, limit, name) =
        operand.format.map { (bytes / $0.bytes, site.traits.maxTexelBufferElements, "texels (maxTexelBufferElements)") }
        ?? (bytes, site.traits.maxStorageBufferRange, "bytes (maxStorageBufferRange)")
      if asked > limit { return "binds '\(binding.name)' of \(asked) \(name), the device allows \(limit)" }
    }
    return nil
  }
}

extension Dispatch {
  fileprivate func misfit(_ traits: DeviceTraits) -> String? {
    let facts = KernelFacts.of(source)
    let size = facts.workgroupSize(constants)
    let invocations = size.reduce(1, *)
    for (axis, name) in ["x", "y", "z"].enumerated() {
      let asked = [groups.x, groups.y, groups.z][axis]
      if asked > traits.maxGroups[axis] {
        return "wants \(asked) groups in \(name), the device allows \(traits.maxGroups[axis])"
      }
      if size[axis] > traits.maxWorkgroupSize[axis] {
        return "has \(size[axis]) invocations in \(name), the device allows \(traits.maxWorkgroupSize[axis])"
      }
    }
    if invocations > traits.maxWorkgroupInvocations {
      return "has \(invocations) invocations, the device allows \(traits.maxWorkgroupInvocations)"
    }
    // Clusters of lanes are counted by subgroup: one that is partly empty, in a group that has several, breaks the count.
    if facts.shuffles, invocations > traits.subgroupSize, invocations % traits.subgroupSize != 0 {
      return "shuffles and has \(invocations) invocations, not whole subgroups of \(traits.subgroupSize)"
    }
    if let shared = facts.sharedBytes(constants), shared > traits.sharedMemoryBytes {
      return "takes \(shared) bytes of shared memory, the device has \(traits.sharedMemoryBytes)"
    }
    let buffers = source.bindings.count { $0.kind == .storageBuffer }
    if buffers > traits.maxStorageBuffers {
      return "binds \(buffers) storage buffers, the device allows \(traits.maxStorageBuffers)"
    }
    if push.count > traits.maxPushConstantBytes {
      return "takes \(push.count) bytes of push constants, the device allows \(traits.maxPushConstantBytes)"
    }
    return nil
  }
}
