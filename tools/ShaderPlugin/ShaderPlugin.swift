import Foundation
import PackagePlugin

/// Turns every `.comp` of the target into one Swift file.
///
/// One command for all shaders: SwiftPM reruns plugin commands whenever the tool is relinked, and one tool run that
/// keeps its compiler costs less than starting the tool once per shader.
@main
struct ShaderPlugin: BuildToolPlugin {
  func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
    guard let target = target.sourceModule else { return [] }
    let files = target.sourceFiles.map(\.url)
    let shaders = files.filter { $0.pathExtension == "comp" }.sorted { $0.path < $1.path }
    let output = context.pluginWorkDirectoryURL
    let list = output.appending(path: "KernelList.swift")
    let kernels = shaders.map { output.appending(path: "\(typeName(of: $0)).swift") }
    return [
      .buildCommand(
        displayName: "Compiling \(shaders.count) shaders",
        executable: try context.tool(named: "shadergen").url,
        arguments: [list.path] + zip(shaders, kernels).flatMap { [$0.path, $1.path] },
        inputFiles: shaders + files.filter { $0.pathExtension == "glsl" },
        outputFiles: [list] + kernels)
    ]
  }

  /// `gelu_backward.comp` -> `GeluBackwardKernel`; `shadergen` takes the type's name from the file's.
  private func typeName(of shader: URL) -> String {
    let words = shader.deletingPathExtension().lastPathComponent.split(separator: "_")
    return words.map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined() + "Kernel"
  }
}
