import GPU
import Graph

/// A program on a device, with its persistent blocks: what `Interpreter` is on the host.
package struct Execution {
  private let plan: Plan
  private let buffers: [String: Buffer]

  /// - Parameter blocks: contents of the persistent blocks that the program names, by name.
  package init(
    _ program: Program, blocks: [String: [Float]], on device: Device, choices: Choices = .defaults
  ) throws(VulkanError) {
    var buffers: [String: Buffer] = [:]
    for (name, values) in blocks {
      let buffer = try device.makeBuffer(bytes: 4 * values.count, kind: .device, label: name)
      try values.withUnsafeBufferPointer { (values) throws(VulkanError) in
        try device.upload(UnsafeRawBufferPointer(values), to: buffer.whole)
      }
      buffers[name] = buffer
    }
    self.buffers = buffers
    plan = try Plan(PlanLayout(program, traits: device.traits, choices: choices), on: device, blocks: buffers)
  }

  /// The results of the program, in order.
  package func run(feeding inputs: [String: HostTensor]) throws(VulkanError) -> [HostTensor] {
    let run = try plan.run { feed in
      for (name, tensor) in inputs { feed.set(name, tensor.bytes.prefix(tensor.type.count * tensor.type.dtype.bytes)) }
    }
    let program = plan.layout.program
    var results: [HostTensor] = []
    for (i, value) in program.results.enumerated() {
      let type = program.types[value]
      let words = try run.words(i)
      results.append(HostTensor(type, words.map { type.dtype == .u32 ? Double($0) : Double(Float(bitPattern: $0)) }))
    }
    return results
  }

  /// What a block holds now.
  package func contents(of block: String) throws(VulkanError) -> [Double] {
    guard let buffer = buffers[block] else { preconditionFailure("no block \(block)") }
    var values = [Float](repeating: 0, count: buffer.bytes / 4)
    try values.withUnsafeMutableBufferPointer { (values) throws(VulkanError) in
      try plan.device.download(buffer.whole, into: UnsafeMutableRawBufferPointer(values))
    }
    return values.map(Double.init)
  }
}
