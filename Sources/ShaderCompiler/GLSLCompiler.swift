import CShaderc
import Foundation
import ShaderReflection

/// One or more lines `path:line: error: what`.
package struct ShaderError: Error, CustomStringConvertible {
  package let description: String

  package init(_ description: String) {
    self.description = description
  }
}

/// A shader's text and its SPIR-V.
package struct ShaderModule {
  /// The path that messages show.
  package let path: String
  package let text: String
  package let words: [UInt32]
  package let spirv: SPIRV

  package init(path: String, text: String, words: [UInt32]) {
    self.path = path
    self.text = text
    self.words = words
    spirv = SPIRV(words: words)
  }

  /// An error at the first line that mentions `symbol`.
  package func error(_ message: String, at symbol: String = "") -> ShaderError {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    let found = lines.firstIndex { line in
      line.split { !($0.isLetter || $0.isNumber || $0 == "_") }.contains { $0 == symbol }
    }
    return ShaderError("\(path):\((found ?? 0) + 1): error: \(message)")
  }
}

/// GLSL compute to SPIR-V for Vulkan 1.2, cooperative matrices to the Khronos extension. One shaderc compiler serves every shader: making
/// one costs 60 ms, a compile 1 ms.
package final class GLSLCompiler {
  private let compiler = shaderc_compiler_initialize()
  private let options = shaderc_compile_options_initialize()

  package init() {
    shaderc_compile_options_set_target_env(
      options, shaderc_target_env_vulkan, shaderc_env_version_vulkan_1_2.rawValue)
    // Names survive at this level and reflection needs them; the driver optimises anyway.
    shaderc_compile_options_set_optimization_level(options, shaderc_optimization_level_zero)
    shaderc_compile_options_set_warnings_as_errors(options)
  }

  deinit {
    shaderc_compile_options_release(options)
    shaderc_compiler_release(compiler)
  }

  /// Reads and compiles a file. Messages show `shader.relativePath`; `#include "x.glsl"` is looked for in the folders
  /// in their order; `define`, if given, is a macro that is defined.
  package func compile(
    _ shader: URL, includes: [URL], define: String? = nil
  ) throws(ShaderError) -> ShaderModule {
    let path = shader.relativePath
    guard let text = try? String(contentsOf: shader, encoding: .utf8) else {
      throw ShaderError("\(path):1: error: cannot be read: no such file, or not UTF-8")
    }
    return try compile(text, path: path, includes: includes, define: define)
  }

  /// Compiles a text; `path` is what messages call it.
  package func compile(
    _ text: String, path: String, includes: [URL] = [], define: String? = nil
  ) throws(ShaderError) -> ShaderModule {
    let options = shaderc_compile_options_clone(self.options)
    defer { shaderc_compile_options_release(options) }
    if let define { shaderc_compile_options_add_macro_definition(options, define, define.utf8.count, nil, 0) }
    let includer = Includer(folders: includes)
    let result = withExtendedLifetime(includer) {
      shaderc_compile_options_set_include_callbacks(
        options,
        { context, requested, _, _, _ in
          guard let context, let requested else { return nil }
          let includer = Unmanaged<Includer>.fromOpaque(context).takeUnretainedValue()
          return includer.load(String(cString: requested))
        },
        { _, result in Includer.release(result) },
        Unmanaged.passUnretained(includer).toOpaque())
      return shaderc_compile_into_spv(
        compiler, text, text.utf8.count, shaderc_compute_shader, path, "main", options)
    }
    defer { shaderc_result_release(result) }
    guard shaderc_result_get_compilation_status(result) == shaderc_compilation_status_success,
      let bytes = shaderc_result_get_bytes(result)
    else {
      let message = shaderc_result_get_error_message(result).map { String(cString: $0) } ?? ""
      throw ShaderError(message.isEmpty ? "\(path):1: error: shaderc gave no reason" : message.trimmed)
    }
    let spirv = UnsafeRawBufferPointer(start: bytes, count: shaderc_result_get_length(result))
    guard let words = SPIRV.withKhronosMatrices(Array(spirv.bindMemory(to: UInt32.self))) else {
      throw ShaderError(
        "\(path):1: error: cooperative matrices: factors and sums need extents that are constants of their own, and a "
          + "literal must say whether one lies by columns")
    }
    return ShaderModule(path: path, text: text, words: words)
  }
}

extension String {
  fileprivate var trimmed: String { trimmingCharacters(in: .whitespacesAndNewlines) }
}

/// Answers `#include "x.glsl"` from the first folder that has it.
private final class Includer {
  private let folders: [URL]

  init(folders: [URL]) {
    self.folders = folders
  }

  func load(_ name: String) -> UnsafeMutablePointer<shaderc_include_result>? {
    let found = folders.lazy.map { $0.appending(path: name) }.compactMap { url in
      (try? String(contentsOf: url, encoding: .utf8)).map { (path: url.relativePath, text: $0) }
    }.first
    // An empty source name tells shaderc that the content is an error message.
    let source = found?.path ?? ""
    let content = found?.text ?? "no such file in \(folders.map(\.relativePath).joined(separator: ", "))"
    let result = UnsafeMutablePointer<shaderc_include_result>.allocate(capacity: 1)
    result.initialize(
      to: shaderc_include_result(
        source_name: strdup(source), source_name_length: source.utf8.count,
        content: strdup(content), content_length: content.utf8.count, user_data: nil))
    return result
  }

  static func release(_ result: UnsafeMutablePointer<shaderc_include_result>?) {
    guard let result else { return }
    free(UnsafeMutableRawPointer(mutating: result.pointee.source_name))
    free(UnsafeMutableRawPointer(mutating: result.pointee.content))
    result.deallocate()
  }
}
