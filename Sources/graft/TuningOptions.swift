import ArgumentParser
import GPU
import Graph
import Tuning

/// Options of commands that use what was measured, and measure nothing themselves.
struct TuningOptions: ParsableArguments {
  @Flag(help: "Run the default kernels, not those that measurements have chosen.") var noTune = false

  var width: VectorWidth.Wish { noTune ? .driversOwn : .known }

  /// What measurements on this device have chosen so far.
  func choices(on device: Device) -> Choices {
    guard !noTune else { return .defaults }
    return TuningStore(
      device.snapshot, device.traits.precision, directory: PipelineFile.userDirectory, notice: note
    ).choices
  }
}

/// A line beside the output.
func note(_ text: String) { print("note: \(text)") }
