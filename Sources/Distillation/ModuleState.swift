import GPU
import Graph
import NN

/// A model's parameters in device memory, and its optimiser state if it is trained.
package final class ModuleState: Sendable {
  package let layout: ParameterLayout
  /// Buffers by the block names that graphs use.
  package let blocks: [String: Buffer]

  /// - Parameters:
  ///   - values: one per element of the layout, padding included.
  ///   - moments: first and second moment to continue from; zeros if nil.
  package init(
    _ layout: ParameterLayout, values: [Float], isTrained: Bool, moments: (first: [Float], second: [Float])? = nil,
    device: Device
  ) throws(VulkanError) {
    self.layout = layout
    var blocks: [String: Buffer] = [:]
    func add(_ name: String, _ values: [Float]) throws(VulkanError) {
      let buffer = try device.makeBuffer(bytes: 4 * values.count, kind: .device, label: name)
      try values.withUnsafeBufferPointer { (values) throws(VulkanError) in
        try device.upload(UnsafeRawBufferPointer(values), to: buffer.whole)
      }
      blocks[name] = buffer
    }
    try add(layout.block, values)
    if isTrained {
      let zeros = [Float](repeating: 0, count: layout.count)
      try add(layout.block + ".m", moments?.first ?? zeros)
      try add(layout.block + ".v", moments?.second ?? zeros)
      try add(layout.block + ".status", [0, 0, 0, 0])
    }
    self.blocks = blocks
  }

  /// Bytes of device memory for a model of this layout.
  package static func bytes(_ layout: ParameterLayout, isTrained: Bool) -> Int {
    4 * layout.count * (isTrained ? 3 : 1)
  }

  /// The contents of the block with this suffix: "" the parameters, ".m" and ".v" the moments.
  package func contents(_ suffix: String = "", device: Device) throws(VulkanError) -> [Float] {
    guard let buffer = blocks[layout.block + suffix] else { preconditionFailure("no block \(layout.block)\(suffix)") }
    var values = [Float](repeating: 0, count: layout.count)
    try values.withUnsafeMutableBufferPointer { (values) throws(VulkanError) in
      try device.download(buffer.whole, into: UnsafeMutableRawBufferPointer(values))
    }
    return values
  }
}
