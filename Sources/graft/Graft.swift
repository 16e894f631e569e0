import ArgumentParser

@main
struct Graft: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "graft",
    abstract: "Trains modular transformers by module-to-module knowledge distillation on any Vulkan device.",
    subcommands: [Devices.self, PlanCommand.self, Run.self, Evaluate.self, Verify.self])
}
