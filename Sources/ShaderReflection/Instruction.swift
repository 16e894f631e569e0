/// An instruction of a SPIR-V module, without its length (SPIR-V specification 1.5, section 2.3).
struct Instruction: Hashable {
  let code: Code
  var operands: [UInt32]

  init(_ code: Code, _ operands: [UInt32]) {
    self.code = code
    self.operands = operands
  }

  /// Those of a module, up to the first that reaches past its end.
  static func all(of words: [UInt32]) -> some Sequence<Instruction> {
    let header = 5
    return sequence(state: header) { next in
      guard next < words.count else { return nil }
      let length = Int(words[next] >> 16)
      guard length > 0, next + length <= words.count else { return nil }
      defer { next += length }
      return Instruction(Code(rawValue: words[next] & 0xffff), Array(words[next + 1..<next + length]))
    }
  }
}

/// An opcode; the names are the specification's (section 3.32).
struct Code: RawRepresentable, Hashable {
  let rawValue: UInt32

  static let name = Code(rawValue: 5)
  static let memberName = Code(rawValue: 6)
  static let `extension` = Code(rawValue: 10)
  static let extInst = Code(rawValue: 12)
  static let entryPoint = Code(rawValue: 15)
  static let executionMode = Code(rawValue: 16)
  static let capability = Code(rawValue: 17)
  static let typeBool = Code(rawValue: 20)
  static let typeInt = Code(rawValue: 21)
  static let typeFloat = Code(rawValue: 22)
  static let typeVector = Code(rawValue: 23)
  static let typeMatrix = Code(rawValue: 24)
  static let typeImage = Code(rawValue: 25)
  static let typeSampledImage = Code(rawValue: 27)
  static let typeArray = Code(rawValue: 28)
  static let typeRuntimeArray = Code(rawValue: 29)
  static let typeStruct = Code(rawValue: 30)
  static let typePointer = Code(rawValue: 32)
  static let typeFunction = Code(rawValue: 33)
  static let constantTrue = Code(rawValue: 41)
  static let constantFalse = Code(rawValue: 42)
  static let constant = Code(rawValue: 43)
  static let constantComposite = Code(rawValue: 44)
  static let specConstantTrue = Code(rawValue: 48)
  static let specConstantFalse = Code(rawValue: 49)
  static let specConstant = Code(rawValue: 50)
  static let specConstantComposite = Code(rawValue: 51)
  static let specConstantOp = Code(rawValue: 52)
  static let function = Code(rawValue: 54)
  static let functionParameter = Code(rawValue: 55)
  static let functionEnd = Code(rawValue: 56)
  static let functionCall = Code(rawValue: 57)
  static let variable = Code(rawValue: 59)
  static let load = Code(rawValue: 61)
  static let store = Code(rawValue: 62)
  static let accessChain = Code(rawValue: 65)
  static let arrayLength = Code(rawValue: 68)
  static let decorate = Code(rawValue: 71)
  static let memberDecorate = Code(rawValue: 72)
  static let vectorShuffle = Code(rawValue: 79)
  static let compositeConstruct = Code(rawValue: 80)
  static let compositeExtract = Code(rawValue: 81)
  static let compositeInsert = Code(rawValue: 82)
  static let copyObject = Code(rawValue: 83)
  static let imageFetch = Code(rawValue: 95)
  static let imageRead = Code(rawValue: 98)
  static let imageQuerySize = Code(rawValue: 104)
  static let loopMerge = Code(rawValue: 246)
  static let selectionMerge = Code(rawValue: 247)
  static let label = Code(rawValue: 248)
  static let branchConditional = Code(rawValue: 250)
  /// OpSwitch, whose name is a keyword of Swift.
  static let multiway = Code(rawValue: 251)
  static let groupNonUniformShuffle = Code(rawValue: 345)
  static let groupNonUniformShuffleXor = Code(rawValue: 346)
  static let typeCooperativeMatrixKHR = Code(rawValue: 4456)
  static let cooperativeMatrixLoadKHR = Code(rawValue: 4457)
  static let cooperativeMatrixStoreKHR = Code(rawValue: 4458)
  static let cooperativeMatrixMulAddKHR = Code(rawValue: 4459)
  static let typeCooperativeMatrixNV = Code(rawValue: 5358)
  static let cooperativeMatrixLoadNV = Code(rawValue: 5359)
  static let cooperativeMatrixStoreNV = Code(rawValue: 5360)
  static let cooperativeMatrixMulAddNV = Code(rawValue: 5361)
}

extension Instruction {
  /// The id that an instruction in a function defines; nil where it defines none.
  var result: UInt32? {
    switch code {
    case .label: return operands[0]
    // OpNop, OpStore, OpCopyMemory, OpImageWrite, barriers, OpAtomicStore, merges, branches, ends.
    case .store, .functionEnd, .cooperativeMatrixStoreNV, .cooperativeMatrixStoreKHR: return nil
    default:
      let without: Set<UInt32> = [0, 63, 99, 224, 225, 228, 246, 247, 249, 250, 251, 252, 253, 254, 255]
      return without.contains(code.rawValue) ? nil : operands[1]
    }
  }

  /// The instruction, which stands in a function, with other ids.
  func renamed(_ names: [UInt32: UInt32]) -> Self {
    var renamed = self
    for i in operands.indices where isID(i) { renamed.operands[i] = names[operands[i]] ?? operands[i] }
    return renamed
  }

  /// Whether operand i is an id and not a number.
  private func isID(_ i: Int) -> Bool {
    switch code {
    case .extInst: i != 3
    case .function, .variable: i != 2
    case .load, .compositeExtract: i < 3
    case .store, .loopMerge: i < 2
    case .cooperativeMatrixLoadKHR: i < 5  // then how memory is accessed, as of a load or store
    case .cooperativeMatrixStoreKHR: i < 4
    case .vectorShuffle, .compositeInsert, .imageFetch, .imageRead: i < 4
    case .selectionMerge: i < 1
    case .branchConditional: i < 3
    case .multiway: i < 2 || i % 2 == 1
    default: true
    }
  }
}
