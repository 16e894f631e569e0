import ShaderReflection

/// What a caller of a shader must provide: bindings, push constants, specialization constants.
package struct ShaderInterface: Equatable {
  /// The cases are those of `KernelSource.BindingKind`.
  package enum BindingKind: Sendable { case storageBuffer, uniformTexelBuffer, storageTexelBuffer }

  /// The cases are those of `KernelSource.Access`.
  package enum Access: Sendable { case read, write, readWrite }

  package struct Binding: Sendable, Equatable {
    package let index: UInt32
    package let name: String
    package let kind: BindingKind
    package let access: Access
    /// What a texel consists of; nil for storage buffers.
    package let texel: Texel?
  }

  package struct Texel: Sendable, Hashable {
    package let component: SPIRV.Scalar
    /// `ImageFormat` of SPIR-V, 0 where the shader leaves it open.
    package let format: UInt32
  }

  package indirect enum PushType: Sendable, Hashable {
    case scalar(SPIRV.Scalar)
    /// An unsigned integer of 8 bits.
    case byte
    case vector(SPIRV.Scalar, count: Int)
    case array(of: PushType, count: Int, stride: Int)

    package var bytes: Int {
      switch self {
      case .scalar: 4
      case .byte: 1
      case .vector(_, let count): 4 * count
      case .array(_, let count, let stride): count * stride
      }
    }
  }

  package struct PushMember: Sendable, Equatable {
    package let name: String
    package let offset: Int
    package let type: PushType
  }

  package struct Constant: Sendable, Equatable {
    package let id: UInt32
    package let name: String
    package let scalar: SPIRV.Scalar
    package let bits: UInt32
  }

  package private(set) var bindings: [Binding] = []
  package private(set) var push: [PushMember] = []
  package private(set) var pushBytes = 0
  package private(set) var constants: [Constant] = []

  /// Refuses what the engine has no use for, with the shader's name and line.
  package init(of module: ShaderModule) throws(ShaderError) {
    let spirv = module.spirv
    for variable in spirv.variables {
      guard case .pointer(let storage, let pointee)? = spirv.types[variable.type] else { continue }
      switch storage {
      case .workgroup: break
      case .pushConstant: try readPush(block: pointee, spirv, module)
      case .uniform:
        let name = Self.name(of: variable.id, block: pointee, spirv)
        throw module.error("uniform block \(name): use a storage buffer or push constants", at: name)
      case .storageBuffer, .uniformConstant:
        let binding = try Self.binding(of: variable.id, pointee: pointee, storage: storage, spirv, module)
        guard let other = bindings.firstIndex(where: { $0.index == binding.index }) else {
          bindings.append(binding)
          continue
        }
        // A buffer seen as another type, too, under a longer name: y and y_floats.
        let (short, long) = (min(bindings[other].name, binding.name), max(bindings[other].name, binding.name))
        guard long.hasPrefix(short), binding.kind == .storageBuffer, bindings[other].kind == .storageBuffer,
          binding.access == bindings[other].access
        else {
          throw module.error("binding \(binding.index) is \(short) and \(long): number them apart", at: binding.name)
        }
        if binding.name == short { bindings[other] = binding }
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
    let declared: Access
    switch (has(.nonWritable), has(.nonReadable)) {
    case (true, false): declared = .read
    case (false, true): declared = .write
    case (false, false): declared = .readWrite
    case (true, true): throw module.error("\(name) is both readonly and writeonly", at: name)
    }

    var image = spirv.types[pointee]
    if case .sampledImage(let id)? = image { image = spirv.types[id] }
    switch image {
    case .structure? where storage == .storageBuffer:
      return Binding(index: index, name: name, kind: .storageBuffer, access: declared, texel: nil)
    case .image(let component, isBuffer: true, let sampled, let format)?:
      guard case .scalar(let scalar)? = spirv.types[component] else { break }
      let texel = Texel(component: scalar, format: format)
      return sampled == 2
        ? Binding(index: index, name: name, kind: .storageTexelBuffer, access: declared, texel: texel)
        : Binding(index: index, name: name, kind: .uniformTexelBuffer, access: .read, texel: texel)
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
      guard let type = PushType(of: type, spirv) else {
        throw module.error(
          "push constant \(name): only 32-bit int, uint, float, their vectors, uint8_t, and arrays of these", at: name)
      }
      let offset = Int(spirv.memberDecorations[member]?[.offset] ?? 0)
      push.append(PushMember(name: name, offset: offset, type: type))
      pushBytes = max(pushBytes, offset + type.bytes)
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
      let axis = spirv.workgroupSizeIDs?.firstIndex(of: constant.id)
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

extension ShaderInterface.PushType {
  fileprivate init?(of type: UInt32, _ spirv: SPIRV) {
    switch spirv.types[type] {
    case .scalar(let scalar)? where scalar != .bool: self = .scalar(scalar)
    case .number(.uint, bits: 8)?: self = .byte
    case .vector(let element, let count)?:
      guard case .scalar(let scalar)? = spirv.types[element], scalar != .bool else { return nil }
      self = .vector(scalar, count: count)
    case .array(let element, let lengthID)?:
      guard let element = Self(of: element, spirv), let length = spirv.constants[lengthID],
        let stride = spirv.decorations[type]?[.arrayStride]
      else { return nil }
      self = .array(of: element, count: Int(length), stride: Int(stride))
    default: return nil
    }
  }
}
