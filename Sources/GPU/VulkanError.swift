/// What can go wrong between the engine and a Vulkan driver, in one line with the values and what to do.
package enum VulkanError: Error, Sendable, Hashable {
  case noDriver
  case noValidationLayer
  case unknownDevice(asked: String, present: [String])
  case unsuitableDevice(name: String, reason: String)
  /// `available` is what the driver says is left, or the size of the memory heap where it does not say.
  case outOfMemory(label: String, asked: Int, available: Int)
  case limitExceeded(what: String, asked: Int, limit: Int)
  case unsupportedTexelFormat(kernel: String, binding: String, format: TexelFormat)
  case deviceLost(function: String)
  case validation(message: String)
  case callFailed(function: String, result: String)
}

extension VulkanError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .noDriver:
      return "no Vulkan driver found: install one, "
        + "e.g. `apt-get install mesa-vulkan-drivers` for the software driver lavapipe"
    case .noValidationLayer:
      return
        "VK_LAYER_KHRONOS_validation not found: `apt-get install vulkan-validationlayers`, or run without validation"
    case .unknownDevice(let asked, let present):
      let list = present.enumerated().map { "\($0.offset): \($0.element)" }.joined(separator: ", ")
      return "no device matches '\(asked)'; present are \(list)"
    case .unsuitableDevice(let name, let reason):
      return "device '\(name)' cannot be used: \(reason)"
    case .outOfMemory(let label, let asked, let available):
      return "out of device memory for '\(label)' (asked \(binaryUnits(asked)), heap has \(binaryUnits(available))): "
        + "use a smaller batch or model"
    case .limitExceeded(let what, let asked, let limit):
      return "\(what): asked \(asked), this device allows \(limit)"
    case .unsupportedTexelFormat(let kernel, let binding, let format):
      return "kernel '\(kernel)' binding '\(binding)': this device has no texel buffers of format \(format)"
    case .deviceLost(let function):
      return "device lost (\(function)): the driver stopped it, usually after a submission that ran too long; "
        + "use a smaller batch and look into the kernel log"
    case .validation(let message):
      return "Vulkan validation: \(message)"
    case .callFailed(let function, let result):
      return "\(function) failed: \(result)"
    }
  }
}

/// `1.5 GiB`, `96.0 MiB`, `512 bytes`.
func binaryUnits(_ bytes: Int) -> String {
  let units = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
  guard let (name, size) = units.first(where: { bytes >= $0.1 }) else { return "\(bytes) bytes" }
  let tenths = Int((Double(bytes) / Double(size) * 10).rounded())
  return "\(tenths / 10).\(tenths % 10) \(name)"
}
