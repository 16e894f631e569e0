import GPU
import Graph

/// One launch, recorded without a plan, with every tensor between guard regions of one buffer.
///
/// All memory but the inputs' elements holds `poison` before the launch: an element that is not written, a read past a
/// tensor or of scratch that was not written shows in the result. Bindings reach over the guard behind their tensor, so
/// that the driver's own bounds check does not hide a write there.
struct GuardedRun {
  /// Bytes of the outputs' elements, then of the mutated inputs'.
  let results: [[UInt8]]
  /// Where memory changed that the op may not write.
  let breaches: [String]

  private static let guardBytes = 256

  /// - Parameters:
  ///   - launch: of `op` for these inputs.
  ///   - reversed: places the tensors in the opposite order.
  init(
    _ op: any Op, _ launch: Launch, _ inputs: [HostTensor], on device: Device, poison: UInt32, reversed: Bool = false
  ) throws {
    let outputs = try op.infer(inputs.map(\.type))
    let colocation = op.colocated
    let sizes =
      inputs.enumerated().map { $0 < colocation?.first ?? .max ? $1.type.bytes : 0 } + [colocation?.bytes ?? 0]
      + outputs.map(\.bytes) + launch.scratch.map(\.bytes)
    var end = Self.guardBytes
    var offsets = [Int](repeating: 0, count: sizes.count)
    for i in reversed ? Array(sizes.indices.reversed()) : Array(sizes.indices) {
      offsets[i] = end
      end = MemoryPlan.aligned(end + sizes[i]) + Self.guardBytes
    }
    let group = inputs.count
    for i in inputs.indices {
      if let colocation, i >= colocation.first {
        offsets[i] = offsets[group] + colocation.offsets[i - colocation.first]
      }
    }
    let output = group + 1
    let scratch = output + outputs.count

    var before = [UInt32](repeating: poison, count: end / 4)
    before.withUnsafeMutableBytes { memory in
      for (i, input) in inputs.enumerated() {
        let bytes = input.bytes.prefix(input.type.count * input.type.dtype.bytes)
        UnsafeMutableRawBufferPointer(rebasing: memory[offsets[i]..<offsets[i] + bytes.count]).copyBytes(from: bytes)
      }
    }

    let buffer = try device.makeBuffer(bytes: end, kind: .device, label: "guarded \(op.name)")
    try before.withUnsafeBytes { try device.upload($0, to: buffer.slice(offset: 0, bytes: end)) }
    let commands = try device.record { recorder throws(VulkanError) in
      for dispatch in launch.dispatches {
        try recorder.dispatch(dispatch, on: device) { place in
          let tensor =
            switch place {
            case .input(let i): i
            case .output(let i): output + i
            case .scratch(let i): scratch + i
            case .colocated: group
            case .unused: preconditionFailure("\(op.name): nothing is bound there")
            }
          return buffer.slice(offset: offsets[tensor], bytes: sizes[tensor] + Self.guardBytes)
        }
      }
    }
    try device.submit([commands]).wait()
    var after = [UInt32](repeating: 0, count: end / 4)
    try after.withUnsafeMutableBytes { try device.download(buffer.slice(offset: 0, bytes: end), into: $0) }

    let written = outputs.indices.map { output + $0 } + op.mutates
    results = after.withUnsafeBytes { memory in
      zip(written, outputs + op.mutates.map { inputs[$0].type }).map { tensor, type in
        Array(memory[offsets[tensor]..<offsets[tensor] + type.count * type.dtype.bytes])
      }
    }

    var expected = before
    for tensor in written + launch.scratch.indices.map({ scratch + $0 }) {
      let range = offsets[tensor] / 4..<(offsets[tensor] + sizes[tensor]) / 4
      expected.replaceSubrange(range, with: after[range])
    }
    guard expected != after else {
      breaches = []
      return
    }
    let names =
      inputs.indices.map { "input \($0)" } + ["colocated"] + outputs.indices.map { "output \($0)" }
      + launch.scratch.indices.map { "scratch \($0)" }
    breaches = after.indices.filter { expected[$0] != after[$0] }.prefix(3).map { word in
      let tensor = offsets.indices.filter { offsets[$0] <= 4 * word }.max { offsets[$0] < offsets[$1] }
      guard let tensor else { return "byte \(4 * word) of the first guard was written" }
      return "byte \(4 * word - offsets[tensor]) of \(names[tensor]) (\(sizes[tensor]) bytes) was written"
    }
  }
}

/// Elements in device format as numbers.
func numbers(_ bytes: [UInt8], _ dtype: DType) -> [Double] {
  bytes.withUnsafeBytes { memory in
    (0..<memory.count / dtype.bytes).map { i in
      switch dtype {
      case .f32: Double(memory.loadUnaligned(fromByteOffset: 4 * i, as: Float.self))
      case .u32: Double(memory.loadUnaligned(fromByteOffset: 4 * i, as: UInt32.self))
      case .u8: Double(memory[i])
      }
    }
  }
}
