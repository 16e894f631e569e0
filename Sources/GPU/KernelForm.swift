import Kernels
import ShaderReflection
import Synchronization

/// Forms of a kernel for devices that lack what its shader uses; the arguments stay the same.
extension KernelSource {
  /// The kernel with storage buffers in place of its texel buffers.
  /// - Parameter formats: of the views that it would get, by binding; nil for a storage buffer and for what is not touched.
  package func readingBuffers(_ formats: [TexelFormat?]) -> KernelSource {
    let elements = zip(bindings, formats).map { binding, format in
      binding.kind == .storageBuffer ? 0 : format?.words ?? 1
    }
    return known(name + " buffers " + elements.map(String.init).joined()) { name in
      let components = zip(bindings, elements).filter { $1 > 0 }.map { ($0.index, $1) }
      return KernelSource(
        name: name,
        bindings: bindings.map { .init(index: $0.index, name: $0.name, kind: .storageBuffer, access: $0.access) },
        pushConstantBytes: pushConstantBytes, addresses: addresses,
        words: SPIRV.readingBuffers(words(), components: Dictionary(uniqueKeysWithValues: components)))
    }
  }

  /// The kernel with a subgroup of one lane.
  package var withLoneInvocations: KernelSource {
    known(name + " lone") { name in
      KernelSource(
        name: name, bindings: bindings, pushConstantBytes: pushConstantBytes, addresses: addresses,
        words: SPIRV.withLoneInvocations(words()))
    }
  }

  /// Made once per process.
  private func known(_ name: String, make: (String) -> KernelSource) -> KernelSource {
    Self.forms.withLock { forms in
      if let form = forms[name] { return form }
      let form = make(name)
      forms[name] = form
      return form
    }
  }

  private static let forms = Mutex<[String: KernelSource]>([:])
}
