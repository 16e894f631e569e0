/// The declarations of a SPIR-V module that reflection needs (SPIR-V specification 1.5, sections 3.20 and 3.32).
struct SPIRV {
  enum Scalar: Hashable { case bool, int, uint, float }

  enum TypeDeclaration {
    case scalar(Scalar)
    case vector(of: UInt32, count: Int)
    case array(of: UInt32, lengthID: UInt32)
    case structure([UInt32])
    case pointer(storage: StorageClass, to: UInt32)
    /// `sampled` is 1 for reads with a sampler or as a uniform texel buffer, 2 for storage access.
    case image(isBuffer: Bool, sampled: UInt32)
    case sampledImage(of: UInt32)
  }

  enum StorageClass: UInt32 {
    case uniformConstant = 0
    case uniform = 2
    case pushConstant = 9
    case storageBuffer = 12
  }

  enum Decoration: UInt32 {
    case specID = 1
    case arrayStride = 6
    case nonWritable = 24
    case nonReadable = 25
    case binding = 33
    case descriptorSet = 34
    case offset = 35
  }

  struct Constant {
    let id: UInt32
    let type: UInt32
    let bits: UInt32
  }

  struct Member: Hashable {
    let structure: UInt32
    let index: Int
  }

  private(set) var names: [UInt32: String] = [:]
  private(set) var memberNames: [Member: String] = [:]
  private(set) var decorations: [UInt32: [Decoration: UInt32]] = [:]
  private(set) var memberDecorations: [Member: [Decoration: UInt32]] = [:]
  private(set) var types: [UInt32: TypeDeclaration] = [:]
  /// Ordinary constants by id.
  private(set) var constants: [UInt32: UInt32] = [:]
  private(set) var specializationConstants: [Constant] = []
  /// The operand ids of composites: the three of `gl_WorkGroupSize` are among them.
  private(set) var specializationComposites: [[UInt32]] = []
  private(set) var variables: [(id: UInt32, type: UInt32)] = []

  init(words: [UInt32]) {
    let function: UInt32 = 54
    var next = 5
    // All declarations come before the first function.
    while next < words.count, words[next] & 0xffff != function {
      let length = Int(words[next] >> 16)
      read(opcode: words[next] & 0xffff, operands: Array(words[next + 1..<next + length]))
      next += length
    }
  }

  private mutating func read(opcode: UInt32, operands o: [UInt32]) {
    switch opcode {
    case 5: names[o[0]] = string(o[1...])
    case 6: memberNames[Member(structure: o[0], index: Int(o[1]))] = string(o[2...])
    case 71:
      guard let decoration = Decoration(rawValue: o[1]) else { return }
      decorations[o[0], default: [:]][decoration] = o.count > 2 ? o[2] : 0
    case 72:
      guard let decoration = Decoration(rawValue: o[2]) else { return }
      memberDecorations[Member(structure: o[0], index: Int(o[1])), default: [:]][decoration] = o.count > 3 ? o[3] : 0
    case 20: types[o[0]] = .scalar(.bool)
    case 21 where o[1] == 32: types[o[0]] = .scalar(o[2] == 1 ? .int : .uint)
    case 22 where o[1] == 32: types[o[0]] = .scalar(.float)
    case 23: types[o[0]] = .vector(of: o[1], count: Int(o[2]))
    case 25: types[o[0]] = .image(isBuffer: o[2] == 5, sampled: o[6])
    case 27: types[o[0]] = .sampledImage(of: o[1])
    case 28: types[o[0]] = .array(of: o[1], lengthID: o[2])
    case 30: types[o[0]] = .structure(Array(o[1...]))
    case 32:
      guard let storage = StorageClass(rawValue: o[1]) else { return }
      types[o[0]] = .pointer(storage: storage, to: o[2])
    case 43: constants[o[1]] = o[2]
    case 48: specializationConstants.append(Constant(id: o[1], type: o[0], bits: 1))
    case 49: specializationConstants.append(Constant(id: o[1], type: o[0], bits: 0))
    case 50: specializationConstants.append(Constant(id: o[1], type: o[0], bits: o[2]))
    case 51: specializationComposites.append(Array(o[2...]))
    case 59: variables.append((id: o[1], type: o[0]))
    default: return
    }
  }

  private func string(_ words: ArraySlice<UInt32>) -> String {
    let bytes = words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }
    return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
  }
}
