import ArgumentParser
import GPU
import Graph

/// `graft bench`: one file per subcommand, all measured by `Tuning.OpTimer` and reported by `Session`.
package struct Bench: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measure ops, steps and the device itself, beside other systems where they are.",
    discussion: """
      Times are medians over at least --seconds per case, by the device's own clock where it has one. Figures mean \
      something on a quiet machine only; compare what was measured in one run.
      """,
    subcommands: [
      PeakBench.self, OpsBench.self, MatmulBench.self, AttentionBench.self, MoEBench.self, StepBench.self,
      CircuitBench.self, ShaderBench.self, CompareBench.self,
    ])

  package init() {}
}

/// Refuses tensors that no bench should try to fill, before their elements are counted.
/// - Parameter option: the option and its value, for the message.
func checkSizes(_ option: String, _ shapes: [Shape]) throws {
  for shape in shapes {
    let count = shape.extents.reduce(1.0) { $0 * Double($1) }
    guard count <= 0x1p28 else {
      throw ValidationError("\(option): a tensor \(shape) has more than \(1 << 28) elements")
    }
  }
}

extension Precision: ExpressibleByArgument {}

/// Options of every bench that measures.
struct BenchOptions: ParsableArguments {
  @Option(help: "Index or part of the name of the device; the fastest kind by default (see graft devices).")
  var device: String?
  @Option(help: "Seconds to measure each case for, at the least.") var seconds = 0.5
  @Flag(help: "Rotate through copies of the tensors, so that runs find nothing in the caches.") var cold = false
  @Flag(inversion: .prefixedNo, help: "Measure the device's peak first, as what speeds are fractions of.")
  var peak = true
  @Flag(
    inversion: .prefixedNo, help: "Take the kernels that measurements choose, as runs do, and not the default ones.")
  var tune = true
  @Flag(help: "One JSON object a line on standard output instead of the table.") var json = false
  @Option(help: "f32, or mixed: factors of products rounded to f16 where the device has matrix units.")
  var precision: Precision?
  @Option(help: "Also draw a roofline picture (SVG) into this file.") var plot: String?

  func validate() throws {
    guard seconds > 0, seconds <= 3600 else {
      throw ValidationError("--seconds \(seconds): expected more than 0 and at most 3600")
    }
    guard peak || plot == nil else { throw ValidationError("--plot draws the measured peak: leave out --no-peak") }
  }
}
