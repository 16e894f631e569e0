import ArgumentParser
import Bench
import Foundation

@main
struct Graft: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "graft",
    abstract: "Trains modular transformers by module-to-module knowledge distillation on any Vulkan device.",
    subcommands: [
      Devices.self, PlanCommand.self, Run.self, Evaluate.self, Verify.self, Bench.self, KernelsCommand.self,
      MeasureWidth.self,
    ])

  /// Every error ends as one line on standard error and an exit status other than 0.
  static func main() {
    // A write beyond `ulimit -f` is then an error like that of a full disk, and not the end of the process.
    signal(SIGXFSZ, SIG_IGN)
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch {
      guard !(error is ExitCode), !exitCode(for: error).isSuccess else { exit(withError: error) }
      let message = message(for: error).split(whereSeparator: \.isNewline).joined(separator: " ")
      fflush(nil)
      FileHandle.standardError.write(Data("error: \(message)\n".utf8))
      Foundation.exit((error as? Interrupted) == nil ? exitCode(for: error).rawValue : Interrupted.status)
    }
  }
}

/// A run that was asked to stop.
struct Interrupted: Error, CustomStringConvertible {
  /// What shells report for a process that SIGINT ended.
  static let status: Int32 = 130
  let description: String
}
