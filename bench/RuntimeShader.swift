import Foundation
import Kernels
import ShaderCompiler

/// A person's own shader, compiled at run time.
struct RuntimeShader {
  let module: ShaderModule
  let interface: ShaderInterface

  /// Looks for `#include`s beside the file, then in `includes`. Errors say file and line.
  init(_ path: String, includes: [String] = [], compiler: GLSLCompiler) throws(ShaderError) {
    let file = URL(fileURLWithPath: path)
    let folders = [file.deletingLastPathComponent()] + includes.map { URL(fileURLWithPath: $0) }
    module = try compiler.compile(file, includes: folders)
    interface = try ShaderInterface(of: module)
  }

  init(text: String, name: String, compiler: GLSLCompiler) throws(ShaderError) {
    module = try compiler.compile(text, path: name)
    interface = try ShaderInterface(of: module)
  }

  /// What `Device.makeKernel` takes.
  var source: KernelSource {
    KernelSource(
      name: module.path, bindings: interface.bindings.map(KernelSource.Binding.init),
      pushConstantBytes: interface.pushBytes, words: module.words)
  }
}

extension KernelSource.Binding {
  init(_ binding: ShaderInterface.Binding) {
    let kind: KernelSource.BindingKind =
      switch binding.kind {
      case .storageBuffer: .storageBuffer
      case .uniformTexelBuffer: .uniformTexelBuffer
      case .storageTexelBuffer: .storageTexelBuffer
      }
    let access: KernelSource.Access =
      switch binding.access {
      case .read: .read
      case .write: .write
      case .readWrite: .readWrite
      }
    self.init(index: binding.index, name: binding.name, kind: kind, access: access)
  }
}
