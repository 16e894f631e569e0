import GPU
import Kernels
import ShaderCompiler
import Tuning

extension Device {
  /// A kernel of `shaders/`, which the binary holds as text; compiled now, and released with its last user.
  /// - Parameter definitions: what follows `#define`.
  func benchKernel(
    _ name: String, _ text: [UInt8], defining definitions: [String] = [], constants: [SpecializationEntry] = []
  ) throws -> Kernel {
    var lines = String(decoding: text, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)[...]
    let version = lines.removeFirst()
    let defined = [version] + definitions.map { "#define \($0)" } + lines
    let shader = try RuntimeShader(
      text: defined.joined(separator: "\n"), name: "\(name).comp", compiler: GLSLCompiler())
    return try makeKernel(shader.source, constants)
  }
}

extension Contender {
  /// Recorded work, of which runs take one command buffer in turn.
  init(_ family: String, _ commands: [CommandBuffer], on device: Device) throws {
    var timer = try CommandTimer(commands, on: device)
    try timer.warmUp()
    self.init(family, hasTimestamps: timer.hasTimestamps) { try timer.sample() }
  }
}

extension Timings {
  /// Per part of runs that consist of `count` equal ones.
  func divided(by count: Double) -> Timings {
    var parts = Timings(hasTimestamps: hasTimestamps)
    for (device, cpu) in zip(device, cpu) { parts.add((device / count, cpu / count)) }
    return parts
  }
}
