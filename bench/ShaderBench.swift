import ArgumentParser
import Foundation
import Graph
import ShaderCompiler

struct ShaderBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "shader", abstract: "Your own GLSL compute shader, perhaps against a second one.",
    discussion: """
      The file is compiled for Vulkan 1.2; #include looks beside it and in --include. Bindings 0, 1, 2, ... of set 0 get \
      the buffers in their order: storage buffers, or texel buffers. E.g. for `Y[i] = a * X[i] + Y[i]` of n elements:

        graft bench shader axpy.comp --buffer f32:1048576:normal --buffer f32:1048576:one --push 1048576,2.5 --groups 16384

      A first run is checked: what it writes outside of its buffers is an error, what it reads there is told. The shader \
      runs in a process of its own, which is ended when the shader hangs.
      """)

  @Argument(help: "The shader.") var file: String
  @Option(name: .customLong("buffer"), help: ShaderBuffer.help) var buffers: [ShaderBuffer] = []
  @Option(help: "Push constants in their order, e.g. int:1024,float:0.5 or 1024,0.5.") var push: String?
  @Option(name: .customLong("constant"), help: "A specialization constant, ID=VALUE or NAME=VALUE.")
  var constants: [String] = []
  @Option(help: "Workgroups, X[,Y[,Z]].") var groups: ShaderGroups
  @Option(help: "A second shader that gets the same buffers, in alternation; results are compared.")
  var against: String?
  @Option(help: "Workgroups of the second shader; the same by default.") var againstGroups: ShaderGroups?
  @Option(help: "Push constants of the second shader; the same by default.") var againstPush: String?
  @Option(
    name: .customLong("against-constant"),
    help: "A constant of the second shader; by default those of the first that it declares too.")
  var againstConstants: [String] = []
  @Option(name: .customLong("include"), help: "A folder for #include.") var includes: [String] = []
  @Option(help: "Floating-point operations of one run, for GFLOP/s.") var flops: Double?
  @Option(help: "Bytes that one run moves, for GB/s; by default every buffer once, twice if read and written.")
  var bytes: Double?
  @Option(help: "Seconds without progress after which the shader counts as hanging.") var limit = 10.0
  @OptionGroup var options: BenchOptions
  @Flag(help: .private) var worker = false

  func validate() throws {
    guard 0.1...86_400 ~= limit else { throw ValidationError("--limit \(limit): expected 0.1 to 86400 seconds") }
    for (name, value) in [("flops", flops), ("bytes", bytes)] {
      guard value.map({ 0...1e18 ~= $0 }) ?? true else { throw ValidationError("--\(name): expected 0 to 1e18") }
    }
  }

  func run() throws {
    if worker { return try measure() }
    // Flags of a subcommand may stand anywhere behind its name.
    var arguments = Array(CommandLine.arguments.dropFirst())
    let name = Self.configuration.commandName ?? ""
    arguments.insert("--worker", at: (arguments.firstIndex(of: name) ?? arguments.startIndex) + 1)
    let status = try Watchdog.run(arguments, limit: limit)
    if status != 0 { throw ExitCode(status) }
  }

  private func measure() throws {
    Watchdog.followParent()
    Watchdog.beat("compiling \(file)")
    let compiler = GLSLCompiler()
    let first = try RuntimeShader(file, includes: includes, compiler: compiler)
    let second = try against.map { try RuntimeShader($0, includes: includes, compiler: compiler) }
    Watchdog.beat("opening the device")
    let session = try Session(options)
    func prepare(
      _ shader: RuntimeShader, _ groups: ShaderGroups, _ push: String?, _ constants: [String], lenient: Bool = false
    ) throws -> ShaderRun {
      try ShaderRun(
        shader, buffers: buffers, push: push, constants: try shader.constants(constants, ignoringUnknown: lenient),
        groups: groups, cold: options.cold, on: session.device)
    }
    var runs = [try prepare(first, groups, push, constants)]
    if let second {
      let own = !againstConstants.isEmpty
      runs.append(
        try prepare(
          second, againstGroups ?? groups, againstPush ?? push, own ? againstConstants : constants, lenient: !own))
    }
    var outputs: [[[UInt8]?]] = []
    for run in runs {
      let (written, suspicion) = try run.results()
      if let suspicion { session.note("warning: \(suspicion)") }
      outputs.append(written)
    }
    let differences = runs.count == 2 ? runs[0].differences(outputs[0], from: outputs[1]) : []

    let timings = try alternate(try runs.map { try $0.contender() }, seconds: options.seconds)
    let types = buffers.map(\.element.rawValue)
    for (i, run) in runs.enumerated() {
      let other = runs.count == 2 ? 1 - i : nil
      session.report(
        op: "shader", case: "\(i == 0 ? groups : againstGroups ?? groups) groups",
        shape: buffers.map { String($0.count) }.joined(separator: ","),
        dtype: Set(types).count == 1 ? types[0] : types.joined(separator: ","), family: run.shader.module.path,
        timings[i],
        cost: Cost(flops: Int(flops ?? 0), bytes: bytes.map { Int($0) } ?? run.bytes),
        error: i == 0 ? differences.map(\.relative).max() : nil,
        relative: other.map { [runs[$0].shader.module.path: timings[$0].min / timings[i].min] } ?? [:])
    }
    for difference in differences {
      let name = "buffer \(difference.binding.index) (\(difference.binding.name))"
      session.note(
        difference.largest == 0
          ? "\(name): equal"
          : String(
            format: "%@: largest difference %.3g at element %d, %.3g of the largest value", name, difference.largest,
            difference.place, difference.relative))
    }
    if runs.count == 2 {
      session.note(
        String(
          format: "%@ takes %.3f of the time of %@", runs[0].shader.module.path, timings[0].min / timings[1].min,
          runs[1].shader.module.path))
    }
    try session.finish()
  }
}
