import CShaderc
import Foundation

/// A shader's text and its SPIR-V.
struct ShaderModule {
  /// The path from the package's root, for messages: `Shaders/fill.comp`.
  let path: String
  let text: String
  let words: [UInt32]

  /// An error at the first line that mentions `symbol`.
  func error(_ message: String, at symbol: String = "") -> ShaderError {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    let found = lines.firstIndex { line in
      line.split { !($0.isLetter || $0.isNumber || $0 == "_") }.contains { $0 == symbol }
    }
    return ShaderError("\(path):\((found ?? 0) + 1): error: \(message)")
  }
}

/// GLSL compute to SPIR-V for Vulkan 1.2. One shaderc compiler serves every shader: making one costs 60 ms, a compile 1 ms.
final class GLSLCompiler {
  private let compiler = shaderc_compiler_initialize()
  private let options = shaderc_compile_options_initialize()

  init() {
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

  func compile(_ shader: URL) throws(ShaderError) -> ShaderModule {
    let folder = shader.deletingLastPathComponent()
    let path = "\(folder.lastPathComponent)/\(shader.lastPathComponent)"
    guard let text = try? String(contentsOf: shader, encoding: .utf8) else {
      throw ShaderError("\(path):1: error: cannot read as UTF-8")
    }
    let includer = Includer(folder: folder.appending(path: "include"))
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
    return ShaderModule(path: path, text: text, words: Array(spirv.bindMemory(to: UInt32.self)))
  }
}

extension String {
  fileprivate var trimmed: String { trimmingCharacters(in: .whitespacesAndNewlines) }
}

/// Answers `#include "x.glsl"` from one folder.
private final class Includer {
  private let folder: URL

  init(folder: URL) {
    self.folder = folder
  }

  func load(_ name: String) -> UnsafeMutablePointer<shaderc_include_result>? {
    let url = folder.appending(path: name)
    let text = try? String(contentsOf: url, encoding: .utf8)
    // An empty source name tells shaderc that the content is an error message.
    let source = text == nil ? "" : "\(folder.deletingLastPathComponent().lastPathComponent)/include/\(name)"
    let content = text ?? "no such file in Shaders/include"
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
