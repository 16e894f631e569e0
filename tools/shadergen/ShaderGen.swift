import Foundation
import ShaderCompiler

/// `shadergen LIST.swift (SHADER.comp KERNEL.swift)...`: compiles each shader and writes its kernel as Swift source,
/// then the list of all kernels. Includes come from the folder `include` beside the shader; one that includes span.glsl,
/// elementwise.glsl, row.glsl or columns.glsl is compiled a second time, into its wide form.
@main
struct ShaderGen {
  static func main() {
    let arguments = CommandLine.arguments.dropFirst().map { URL(fileURLWithPath: $0) }
    guard arguments.count % 2 == 1 else {
      report("usage: shadergen LIST.swift (SHADER.comp KERNEL.swift)...")
      exit(64)
    }
    let compiler = GLSLCompiler()
    var kernels: [String] = []
    var failed = false
    for i in stride(from: 1, to: arguments.count, by: 2) {
      let (shader, output) = (arguments[i], arguments[i + 1])
      let type = output.deletingPathExtension().lastPathComponent
      kernels.append(type)
      do {
        // Relative to the package's root, so that messages say `Shaders/fill.comp`.
        let folder = shader.deletingLastPathComponent()
        let root = folder.deletingLastPathComponent()
        func inPackage(_ name: String) -> URL {
          URL(fileURLWithPath: "\(folder.lastPathComponent)/\(name)", relativeTo: root)
        }
        func compile(define: String? = nil) throws(ShaderError) -> ShaderModule {
          try compiler.compile(
            inPackage(shader.lastPathComponent), includes: [inPackage("include")], define: define)
        }
        let module = try compile()
        let hasWideForm = ["span", "elementwise", "row", "columns"].contains {
          module.text.contains("#include \"\($0).glsl\"")
        }
        let wide = hasWideForm ? try compile(define: "WIDE") : nil
        try write(try swiftSource(type: type, module: module, wide: wide), to: output)
      } catch {
        failed = true
        report(error.description)
      }
    }
    do {
      try write(swiftList(of: kernels), to: arguments[0])
    } catch {
      failed = true
      report(error.description)
    }
    exit(failed ? 1 : 0)
  }

  /// Leaves an unchanged file alone, so that only kernels that changed are compiled again.
  private static func write(_ text: String, to url: URL) throws(ShaderError) {
    let data = Data(text.utf8)
    if (try? Data(contentsOf: url)) == data { return }
    do {
      try data.write(to: url, options: .atomic)
    } catch {
      throw ShaderError("\(url.path): error: cannot write: \(error.localizedDescription)")
    }
  }

  private static func report(_ line: String) {
    FileHandle.standardError.write(Data((line + "\n").utf8))
  }
}
