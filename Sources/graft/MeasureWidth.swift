import ArgumentParser
import Distillation
import GPU
import Tuning

/// What `WidthTrial` starts, once for each width.
struct MeasureWidth: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: WidthProbe.command, abstract: "Time a short step for each line of standard input.",
    shouldDisplay: false)

  @OptionGroup var options: DeviceOptions

  func run() throws {
    let device = try Device.open(options.device)
    var step: TrialStep?
    try WidthProbe.answer(device.snapshot) {
      let made = try step ?? TrialStep(on: device)
      step = made
      return try made.run()
    }
  }
}
