/// What a caller of a shader must provide: bindings, push constants, specialization constants.
struct ShaderInterface {
  struct Binding {
    let index: UInt32
    let name: String
    /// A case of `KernelSource.BindingKind`.
    let kind: String
    /// A case of `KernelSource.Access`.
    let access: String
  }

  struct PushMember {
    let name: String
    let swiftType: String
  }

  struct Constant {
    let id: UInt32
    let name: String
    let scalar: SPIRV.Scalar
    let bits: UInt32
  }

  private(set) var bindings: [Binding] = []
  private(set) var push: [PushMember] = []
  private(set) var pushBytes = 0
  private(set) var constants: [Constant] = []

  /// Refuses what the engine has no use for, with the shader's name and line.
  init(of module: ShaderModule) throws(ShaderError) {
    let spirv = SPIRV(words: module.words)
    for variable in spirv.variables {
      guard case .pointer(let storage, let pointee)? = spirv.types[variable.type] else { continue }
      switch storage {
      case .pushConstant: try readPush(block: pointee, spirv, module)
      case .uniform:
        let name = Self.name(of: variable.id, block: pointee, spirv)
        throw module.error("uniform block \(name): use a storage buffer or push constants", at: name)
      case .storageBuffer, .uniformConstant:
        bindings.append(try Self.binding(of: variable.id, pointee: pointee, storage: storage, spirv, module))
      }
    }
    bindings.sort { $0.index < $1.index }
    for (expected, binding) in bindings.enumerated() where binding.index != expected {
      throw module.error(
        "binding \(binding.index) (\(binding.name)) where \(expected) was expected: number them 0, 1, 2, ... without gaps",
        at: binding.name)
    }
    try readConstants(spirv, module)
  }

  // MARK: Bindings

  /// The instance's name, else the name of the block's only member, else the block's.
  private static func name(of variable: UInt32, block: UInt32, _ spirv: SPIRV) -> String {
    if let name = spirv.names[variable], !name.isEmpty { return name }
    if case .structure(let members)? = spirv.types[block], members.count == 1,
      let name = spirv.memberNames[SPIRV.Member(structure: block, index: 0)]
    {
      return name
    }
    return spirv.names[block] ?? ""
  }

  private static func binding(
    of variable: UInt32, pointee: UInt32, storage: SPIRV.StorageClass, _ spirv: SPIRV, _ module: ShaderModule
  ) throws(ShaderError) -> Binding {
    let name = name(of: variable, block: pointee, spirv)
    let decorations = spirv.decorations[variable] ?? [:]
    guard decorations[.descriptorSet] == 0, let index = decorations[.binding] else {
      throw module.error("\(name): write layout(binding = N), in set 0", at: name)
    }

    func has(_ decoration: SPIRV.Decoration) -> Bool {
      if decorations[decoration] != nil { return true }
      guard case .structure(let members)? = spirv.types[pointee] else { return false }
      return members.indices.allSatisfy {
        spirv.memberDecorations[SPIRV.Member(structure: pointee, index: $0)]?[decoration] != nil
      }
    }
    let declared: String
    switch (has(.nonWritable), has(.nonReadable)) {
    case (true, false): declared = "read"
    case (false, true): declared = "write"
    case (false, false): declared = "readWrite"
    case (true, true): throw module.error("\(name) is both readonly and writeonly", at: name)
    }

    switch spirv.types[pointee] {
    case .structure? where storage == .storageBuffer:
      return Binding(index: index, name: name, kind: "storageBuffer", access: declared)
    case .image(isBuffer: true, sampled: 2)?:
      return Binding(index: index, name: name, kind: "storageTexelBuffer", access: declared)
    case .image(isBuffer: true, sampled: 1)?:
      return Binding(index: index, name: name, kind: "uniformTexelBuffer", access: "read")
    case .sampledImage(let image)?:
      if case .image(isBuffer: true, sampled: _)? = spirv.types[image] {
        return Binding(index: index, name: name, kind: "uniformTexelBuffer", access: "read")
      }
    default: break
    }
    throw module.error("\(name): only storage buffers, textureBuffer, samplerBuffer and imageBuffer", at: name)
  }

  // MARK: Push constants

  private mutating func readPush(block: UInt32, _ spirv: SPIRV, _ module: ShaderModule) throws(ShaderError) {
    guard case .structure(let members)? = spirv.types[block] else { return }
    for (index, type) in members.enumerated() {
      let member = SPIRV.Member(structure: block, index: index)
      let name = spirv.memberNames[member] ?? "_\(index)"
      guard let layout = SwiftLayout(of: type, spirv) else {
        throw module.error(
          "push constant \(name): only 32-bit int, uint, float, their vectors of 2 or 4, and arrays of these", at: name)
      }
      let offset = (pushBytes + layout.alignment - 1) / layout.alignment * layout.alignment
      let shaderOffset = Int(spirv.memberDecorations[member]?[.offset] ?? 0)
      guard offset == shaderOffset else {
        throw module.error("push constant \(name) is at byte \(shaderOffset), in Swift at \(offset): reorder", at: name)
      }
      push.append(PushMember(name: name, swiftType: layout.name))
      pushBytes = offset + layout.size
    }
    guard pushBytes <= 128 else {
      throw module.error("push constants take \(pushBytes) bytes; Vulkan guarantees 128", at: "push_constant")
    }
  }

  // MARK: Specialization constants

  private mutating func readConstants(_ spirv: SPIRV, _ module: ShaderModule) throws(ShaderError) {
    for constant in spirv.specializationConstants {
      guard let id = spirv.decorations[constant.id]?[.specID] else { continue }
      let name = spirv.names[constant.id] ?? ""
      guard case .scalar(let scalar)? = spirv.types[constant.type] else {
        throw module.error("specialization constant \(name): only bool and 32-bit int, uint, float", at: name)
      }
      // `local_size_x_id = 0` declares a second, unnamed constant 0; one that only it declares is named by its axis.
      if name.isEmpty, spirv.specializationConstants.contains(where: { spirv.isNamed($0, specID: id) }) { continue }
      let axis = spirv.specializationComposites.lazy.compactMap { $0.firstIndex(of: constant.id) }.first
      let axisName = axis.map { "local_size_\(["x", "y", "z"][$0 % 3])" } ?? "constant_\(id)"
      constants.append(
        Constant(id: id, name: name.isEmpty ? axisName : name, scalar: scalar, bits: constant.bits))
    }
    constants.sort { $0.id < $1.id }
    for (a, b) in zip(constants, constants.dropFirst()) where a.id == b.id {
      throw module.error("constant_id \(a.id) is both \(a.name) and \(b.name)", at: b.name)
    }
  }
}

extension SPIRV {
  fileprivate func isNamed(_ constant: Constant, specID: UInt32) -> Bool {
    decorations[constant.id]?[.specID] == specID && names[constant.id]?.isEmpty == false
  }
}

/// The Swift type that mirrors a push-constant member, with its place in a Swift struct.
private struct SwiftLayout {
  let name: String
  let size: Int
  let alignment: Int

  /// `nil` where Swift has no type of the same layout: a vec3 fills 12 bytes in GLSL, a SIMD3 16.
  init?(of type: UInt32, _ spirv: SPIRV) {
    switch spirv.types[type] {
    case .scalar(.int)?: (name, size, alignment) = ("Int32", 4, 4)
    case .scalar(.uint)?: (name, size, alignment) = ("UInt32", 4, 4)
    case .scalar(.float)?: (name, size, alignment) = ("Float", 4, 4)
    case .vector(let element, let count)?:
      guard count != 3, let scalar = SwiftLayout(of: element, spirv) else { return nil }
      (name, size, alignment) = ("SIMD\(count)<\(scalar.name)>", 4 * count, 4 * count)
    case .array(let element, let lengthID)?:
      guard let element = SwiftLayout(of: element, spirv), let length = spirv.constants[lengthID],
        spirv.decorations[type]?[.arrayStride] == UInt32(element.size)
      else { return nil }
      name = "InlineArray<\(length), \(element.name)>"
      size = Int(length) * element.size
      alignment = element.alignment
    default: return nil
    }
  }
}
