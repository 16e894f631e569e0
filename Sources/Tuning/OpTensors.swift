import GPU
import Graph
import Random

/// The tensors of an op at a site, in device memory: what the variants that are compared with each other share.
package struct OpTensors: Sendable {
  /// One set of memory.
  struct Memory: Sendable {
    let inputs: [BufferSlice]
    let colocated: BufferSlice?
    let outputs: [BufferSlice]
  }

  package let op: any Op
  package let site: LaunchSite
  package let inputs: [HostTensor]
  package let device: Device
  let sets: [Memory]

  /// - Parameters:
  ///   - site: whose types the inputs have.
  ///   - copies: sets of memory that runs take in turn. With 1 a run finds in the caches what the last one left there; with
  ///     enough to exceed them (`copies(exceeding:at:)`) every run comes from memory.
  package init(
    _ op: any Op, at site: LaunchSite, inputs: [HostTensor], on device: Device, copies: Int = 1
  ) throws(VulkanError) {
    precondition(inputs.map(\.type) == site.inputs, "\(op.name): inputs of other types than the site's")
    self.op = op
    self.site = site
    self.inputs = inputs
    self.device = device
    var sets: [Memory] = []
    for _ in 0..<max(1, copies) {
      func buffer(_ bytes: Int, _ label: String) throws(VulkanError) -> BufferSlice {
        try device.makeBuffer(bytes: bytes, kind: .device, label: "\(op.name) \(label)").whole
      }
      let colocation = op.colocated
      var colocated: BufferSlice?
      if let colocation { colocated = try buffer(colocation.bytes, "colocated inputs") }
      var slices: [BufferSlice] = []
      for (i, type) in site.inputs.enumerated() {
        if let colocation, let colocated, i >= colocation.first {
          let offset = colocated.offset + colocation.offsets[i - colocation.first]
          slices.append(colocated.buffer.slice(offset: offset, bytes: type.bytes))
        } else {
          slices.append(try buffer(type.bytes, "input \(i)"))
        }
      }
      var outputs: [BufferSlice] = []
      for (i, type) in site.outputs.enumerated() { outputs.append(try buffer(type.bytes, "output \(i)")) }
      sets.append(Memory(inputs: slices, colocated: colocated, outputs: outputs))
    }
    self.sets = sets
    for set in sets.indices { try upload(site.inputs.indices.map { $0 }, set: set) }
  }

  /// The tensors of a case of the catalog, with the fills it names.
  package init(_ opCase: OpCase, seed: UInt64 = 0, on device: Device, copies: Int = 1) throws {
    let inputs = opCase.tensors(seed: seed)
    let types = inputs.map(\.type)
    let site = LaunchSite(inputs: types, outputs: try opCase.op.infer(types), traits: device.traits)
    try self.init(opCase.op, at: site, inputs: inputs, on: device, copies: copies)
  }

  /// Copies that together exceed `bytes`, but no more than 64.
  package static func copies(exceeding bytes: Int, at site: LaunchSite) -> Int {
    let one = (site.inputs + site.outputs).reduce(0) { $0 + $1.bytes }
    return min(64, bytes / max(1, one) + 1)
  }

  /// Puts the initial contents back.
  func upload(_ indices: [Int], set: Int = 0) throws(VulkanError) {
    for i in indices {
      try inputs[i].bytes.withUnsafeBufferPointer { (bytes) throws(VulkanError) in
        try device.upload(UnsafeRawBufferPointer(bytes), to: sets[set].inputs[i])
      }
    }
  }

  /// The outputs, then the mutated inputs, as they are on the device.
  func download() throws(VulkanError) -> [HostTensor] {
    var results: [HostTensor] = []
    let slices = sets[0].outputs + op.mutates.map { sets[0].inputs[$0] }
    for (slice, type) in zip(slices, site.outputs + op.mutates.map { site.inputs[$0] }) {
      var words = [UInt32](repeating: 0, count: type.bytes / 4)
      try words.withUnsafeMutableBufferPointer { (words) throws(VulkanError) in
        try device.download(slice, into: UnsafeMutableRawBufferPointer(words))
      }
      results.append(HostTensor(type, words: words))
    }
    return results
  }
}

extension OpCase {
  /// The inputs, filled as the case says; the same in every run. Every number is exact in the device's type.
  package func tensors(seed: UInt64 = 0) -> [HostTensor] {
    inputs.enumerated().map { i, input in
      input.fill.tensor(input.type, CounterRandom(seed: seed, stream: "\(name) input \(i)"))
    }
  }
}

extension OpCase.Fill {
  package func tensor(_ type: TensorType, _ random: CounterRandom) -> HostTensor {
    var random = random
    // Beyond 65,521 numbers, a prime, they repeat: drawing takes longer than what is measured with them.
    let drawn = min(type.count, 65_521)
    var data: [Double]
    switch self {
    case .normal(let deviation): data = (0..<drawn).map { _ in deviation * random.normal() }
    case .uniform(let low, let high): data = (0..<drawn).map { _ in low + (high - low) * random.uniform() }
    case .integers(let bound): data = (0..<drawn).map { _ in Double(random.below(bound)) }
    case .values(let values): data = values
    }
    if type.dtype == .f32 { for i in data.indices { data[i] = Double(Float(data[i])) } }
    if data.count < type.count { data = (0..<type.count).map { data[$0 % drawn] } }
    return HostTensor(type, data)
  }
}
