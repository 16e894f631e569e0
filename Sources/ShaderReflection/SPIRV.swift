/// The declarations of a SPIR-V module that reflection needs (SPIR-V specification 1.5, sections 3.20 and 3.32).
package struct SPIRV: Sendable {
  package enum Scalar: Hashable, Sendable { case bool, int, uint, float }

  package enum TypeDeclaration: Sendable {
    case scalar(Scalar)
    /// Numbers that are not of 32 bits.
    case number(Scalar, bits: Int)
    case vector(of: UInt32, count: Int)
    case matrix(of: UInt32, columns: Int)
    case array(of: UInt32, lengthID: UInt32)
    case structure([UInt32])
    case pointer(storage: StorageClass, to: UInt32)
    /// `sampled` is 1 for reads with a sampler or as a uniform texel buffer, 2 for storage access; `format` is 0 for none.
    case image(of: UInt32, isBuffer: Bool, sampled: UInt32, format: UInt32)
    case sampledImage(of: UInt32)
  }

  package enum StorageClass: UInt32, Sendable {
    case uniformConstant = 0
    case uniform = 2
    case workgroup = 4
    case pushConstant = 9
    case storageBuffer = 12
  }

  package enum Decoration: UInt32, Sendable {
    case specID = 1
    case block = 2
    case arrayStride = 6
    case builtIn = 11
    case nonWritable = 24
    case nonReadable = 25
    case binding = 33
    case descriptorSet = 34
    case offset = 35
  }

  package struct Constant: Sendable {
    package let id: UInt32
    package let type: UInt32
    package let bits: UInt32
  }

  package struct Member: Hashable, Sendable {
    package let structure: UInt32
    package let index: Int

    package init(structure: UInt32, index: Int) {
      self.structure = structure
      self.index = index
    }
  }

  package private(set) var capabilities: Set<UInt32> = []
  package private(set) var names: [UInt32: String] = [:]
  package private(set) var memberNames: [Member: String] = [:]
  package private(set) var decorations: [UInt32: [Decoration: UInt32]] = [:]
  package private(set) var memberDecorations: [Member: [Decoration: UInt32]] = [:]
  package private(set) var types: [UInt32: TypeDeclaration] = [:]
  /// Ordinary constants by id.
  package private(set) var constants: [UInt32: UInt32] = [:]
  package private(set) var specializationConstants: [Constant] = []
  package private(set) var variables: [(id: UInt32, type: UInt32)] = []
  /// True where the shader asks how long a buffer is, `x.length()` or `textureSize(x)`.
  package private(set) var asksForLengths = false
  /// `local_size_x = …` of the shader, where no constant sets it.
  private var localSize = [1, 1, 1]
  private var composites: [UInt32: [UInt32]] = [:]
  /// Constants that are computed from others: opcode and operands by id.
  private var computed: [UInt32: (opcode: UInt32, operands: [UInt32])] = [:]

  package init(words: [UInt32]) {
    // All declarations come before the first function.
    var isDeclaration = true
    for instruction in Instruction.all(of: words) {
      if instruction.code == .function { isDeclaration = false }
      if isDeclaration {
        read(instruction.code, instruction.operands)
      } else if instruction.code == .arrayLength || instruction.code == .imageQuerySize {
        asksForLengths = true
      }
    }
  }

  private mutating func read(_ code: Code, _ o: [UInt32]) {
    let localSizeMode: UInt32 = 17
    let bufferDimension: UInt32 = 5
    switch code {
    case .name: names[o[0]] = string(o[1...])
    case .memberName: memberNames[Member(structure: o[0], index: Int(o[1]))] = string(o[2...])
    case .executionMode where o.count == 5 && o[1] == localSizeMode: localSize = o[2...].map(Int.init)
    case .capability: capabilities.insert(o[0])
    case .decorate:
      guard let decoration = Decoration(rawValue: o[1]) else { return }
      decorations[o[0], default: [:]][decoration] = o.count > 2 ? o[2] : 0
    case .memberDecorate:
      guard let decoration = Decoration(rawValue: o[2]) else { return }
      memberDecorations[Member(structure: o[0], index: Int(o[1])), default: [:]][decoration] = o.count > 3 ? o[3] : 0
    case .typeBool: types[o[0]] = .scalar(.bool)
    case .typeInt: types[o[0]] = number(o[2] == 1 ? .int : .uint, o[1])
    case .typeFloat: types[o[0]] = number(.float, o[1])
    case .typeVector: types[o[0]] = .vector(of: o[1], count: Int(o[2]))
    case .typeMatrix: types[o[0]] = .matrix(of: o[1], columns: Int(o[2]))
    case .typeImage: types[o[0]] = .image(of: o[1], isBuffer: o[2] == bufferDimension, sampled: o[6], format: o[7])
    case .typeSampledImage: types[o[0]] = .sampledImage(of: o[1])
    case .typeArray: types[o[0]] = .array(of: o[1], lengthID: o[2])
    case .typeStruct: types[o[0]] = .structure(Array(o[1...]))
    case .typePointer:
      guard let storage = StorageClass(rawValue: o[1]) else { return }
      types[o[0]] = .pointer(storage: storage, to: o[2])
    case .constant: constants[o[1]] = o[2]
    case .constantComposite, .specConstantComposite: composites[o[1]] = Array(o[2...])
    case .specConstantTrue: specializationConstants.append(Constant(id: o[1], type: o[0], bits: 1))
    case .specConstantFalse: specializationConstants.append(Constant(id: o[1], type: o[0], bits: 0))
    case .specConstant: specializationConstants.append(Constant(id: o[1], type: o[0], bits: o[2]))
    case .specConstantOp: computed[o[1]] = (o[2], Array(o[3...]))
    case .variable: variables.append((id: o[1], type: o[0]))
    default: return
    }
  }

  private func number(_ scalar: Scalar, _ bits: UInt32) -> TypeDeclaration {
    bits == 32 ? .scalar(scalar) : .number(scalar, bits: Int(bits))
  }

  private func string(_ words: ArraySlice<UInt32>) -> String {
    let bytes = words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }
    return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
  }
}

// MARK: With constants specialized

extension SPIRV {
  /// Invocations per workgroup in x, y, z: the constant decorated `WorkgroupSize`, else the `LocalSize` execution mode.
  ///
  /// `constants` are bits by specialization constant id; the shader's own defaults count for the others.
  package func workgroupSize(_ constants: [UInt32: UInt32]) -> [Int] {
    workgroupSizeIDs.map { $0.map { Int(value(of: $0, constants) ?? 1) } } ?? localSize
  }

  /// The constants that `gl_WorkGroupSize` is made of.
  package var workgroupSizeIDs: [UInt32]? {
    let workgroupSize: UInt32 = 25
    return composites.first { decorations[$0.key]?[.builtIn] == workgroupSize }?.value
  }

  /// Bytes of the `shared` variables, without padding that a driver may add; nil where a length cannot be computed.
  package func sharedBytes(_ constants: [UInt32: UInt32]) -> Int? {
    var total = 0
    for variable in variables {
      guard case .pointer(.workgroup, let pointee)? = types[variable.type] else { continue }
      guard let bytes = bytes(of: pointee, constants) else { return nil }
      total += bytes
    }
    return total
  }

  private func bytes(of type: UInt32, _ constants: [UInt32: UInt32]) -> Int? {
    switch types[type] {
    case .scalar?: return 4
    case .number(_, let bits)?: return bits / 8
    case .vector(let element, let count)?, .matrix(let element, let count)?:
      return bytes(of: element, constants).map { $0 * count }
    case .array(let element, let lengthID)?:
      guard let element = bytes(of: element, constants), let length = value(of: lengthID, constants) else { return nil }
      return element.multipliedReportingOverflow(by: Int(length)).partialValue
    case .structure(let members)?:
      var total = 0
      for member in members {
        guard let bytes = bytes(of: member, constants) else { return nil }
        total += bytes
      }
      return total
    default: return nil
    }
  }

  /// The value of a constant of unsigned integer arithmetic: what lengths of arrays are made of.
  private func value(of id: UInt32, _ given: [UInt32: UInt32]) -> UInt32? {
    if let value = constants[id] { return value }
    if let constant = specializationConstants.first(where: { $0.id == id }) {
      return decorations[id]?[.specID].flatMap { given[$0] } ?? constant.bits
    }
    guard let (opcode, operands) = computed[id] else { return nil }
    let values = operands.compactMap { value(of: $0, given) }
    guard values.count == operands.count, let a = values.first else { return nil }
    let b = values.count > 1 ? values[1] : 0
    switch opcode {
    case 124: return a  // OpBitcast: int and uint of the same bits
    case 128: return a &+ b
    case 130: return a &- b
    case 132: return a &* b
    case 134, 135: return b == 0 ? nil : a / b
    case 137, 138, 139: return b == 0 ? nil : a % b
    case 194, 195: return b < 32 ? a >> b : 0
    case 196: return b < 32 ? a << b : 0
    case 172, 173: return a > b ? 1 : 0  // lengths are not negative
    case 169: return values.count == 3 ? (a != 0 ? values[1] : values[2]) : nil
    default: return nil
    }
  }
}
