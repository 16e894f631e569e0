import Foundation
import ShaderCompiler
import ShaderReflection

/// The Swift file of one kernel; `wide` is its wide form, if it has one.
func swiftSource(type: String, module: ShaderModule, wide: ShaderModule? = nil) throws(ShaderError) -> String {
  let interface = try ShaderInterface(of: module)
  var widest = interface
  let shader = URL(fileURLWithPath: module.path).deletingPathExtension().lastPathComponent
  var forms = "  package static let source = \(kernelSource(shader, module, interface))"
  if let wide {
    let other = try ShaderInterface(of: wide)
    guard other.bindings == interface.bindings, other.push.starts(with: interface.push),
      other.constants.filter({ !["LANES", "BROADCASTS"].contains($0.name) }) == interface.constants
    else {
      throw module.error("the form with WIDE defined has other bindings, push constants or constants", at: "WIDE")
    }
    widest = other
    forms += "\n  package static let wide: KernelSource? = \(kernelSource(shader + "_wide", wide, other))"
  }
  let push = try PushMirror(of: widest, in: module)
  return """
    // Generated from \(module.path).

    package enum \(type): ComputeKernel {
    \(forms)

    \(pushSource(push, widest.bindings))

    \(constantsSource(interface.constants))
    }

    """
}

private func kernelSource(_ name: String, _ module: ShaderModule, _ interface: ShaderInterface) -> String {
  let bindings = interface.bindings.map {
    "\n      .init(index: \($0.index), name: \"\($0.name)\", kind: .\($0.kind), access: .\($0.access)),"
  }
  let base64 = module.words.withUnsafeBytes { Data($0).base64EncodedString() }
  return """
    KernelSource(
        name: "\(name)",
        bindings: [\(bindings.joined())
        ],
        pushConstantBytes: \(interface.pushBytes),
        addresses: [\(addresses(interface))],
        base64: "\(base64)"
      )
    """
}

/// A push constant `x_address` is that of the binding x.
private func addresses(_ interface: ShaderInterface) -> String {
  interface.push.compactMap { member in
    guard let binding = interface.bindings.firstIndex(where: { member.name == addressName(of: $0.name) }) else {
      return nil
    }
    return ".init(binding: \(binding), offset: \(member.offset))"
  }.joined(separator: ", ")
}

private func addressName(of binding: String) -> String { binding + "_address" }

/// The Swift file that lists all kernels.
func swiftList(of types: [String]) -> String {
  """
  extension KernelSource {
    /// Every shader of the package in all its forms, by name.
    package static let all: [KernelSource] = forms.compactMap { $0 }

    private static let forms: [KernelSource?] = [
  \(types.map { "    \($0).source, \($0).wide,\n" }.joined())  ]
  }

  """
}

/// No op sets `identity` (`include/lane_stores.glsl`) and the addresses of bindings (`include/lane_loads.glsl`).
private func pushSource(_ push: PushMirror, _ bindings: [ShaderInterface.Binding]) -> String {
  if push.members.isEmpty { return "  package typealias Push = NoPush" }
  let own = ["identity": ".identity"].merging(bindings.map { (addressName(of: $0.name), ".zero") }) { $1 }
  // What no op sets comes last.
  let end = push.members.lastIndex { !PushMirror.isGap($0.name) && own[$0.name] == nil }.map { $0 + 1 } ?? 0
  let (given, table) = (push.members[..<end].filter { !PushMirror.isGap($0.name) }, push.members[end...])
  return structSource(
    "Push: PushConstants", given.map { (name: $0.name, declaration: "`\($0.name)`: \($0.type)") },
    extra: table.map { "\n      private let `\($0.name)`: \($0.type) = \(own[$0.name] ?? "0")" }.joined())
}

private func constantsSource(_ all: [ShaderInterface.Constant]) -> String {
  let constants = all.filter { $0.name != "BROADCASTS" }
  if constants.isEmpty { return "  package typealias Constants = NoConstants" }
  let members = constants.map {
    (name: $0.name, declaration: "`\($0.name)`: \($0.scalar.swiftType) = \(literal($0))")
  }
  let entries = constants.map { "        .init(id: \($0.id), bits: \(bits(of: $0))),\n" }
  return structSource(
    "Constants: SpecializationConstants", members,
    extra: """


          package var entries: [SpecializationEntry] {
            [
      \(entries.joined())      ]
          }
      """)
}

/// A struct with its memberwise initialiser; backticks, because GLSL's names may be Swift's keywords.
private func structSource(_ head: String, _ members: [(name: String, declaration: String)], extra: String) -> String {
  """
    package struct \(head) {
  \(members.map { "    package var \($0.declaration)\n" }.joined())
      package init(\(members.map(\.declaration).joined(separator: ", "))) {
  \(members.map { "      self.`\($0.name)` = `\($0.name)`\n" }.joined())    }\(extra)
    }
  """
}

extension SPIRV.Scalar {
  var swiftType: String {
    switch self {
    case .bool: "Bool"
    case .int: "Int32"
    case .uint: "UInt32"
    case .float: "Float"
    }
  }
}

private func literal(_ constant: ShaderInterface.Constant) -> String {
  switch constant.scalar {
  case .bool: constant.bits == 0 ? "false" : "true"
  case .int: "\(Int32(bitPattern: constant.bits))"
  case .uint: "\(constant.bits)"
  case .float:
    // Decimal where Swift can read it back: not infinities and NaN.
    Float(bitPattern: constant.bits).isFinite
      ? "\(Float(bitPattern: constant.bits))" : "Float(bitPattern: \(constant.bits))"
  }
}

private func bits(of constant: ShaderInterface.Constant) -> String {
  switch constant.scalar {
  case .bool: "`\(constant.name)` ? 1 : 0"
  case .int: "UInt32(bitPattern: `\(constant.name)`)"
  case .uint: "`\(constant.name)`"
  case .float: "`\(constant.name)`.bitPattern"
  }
}
