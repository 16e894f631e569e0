/// A SPIR-V module as instructions that can be changed (SPIR-V specification 1.5, sections 2.3 and 2.4).
struct ModuleEditor {
  struct Instruction: Hashable {
    let code: Code
    var operands: [UInt32]

    init(_ code: Code, _ operands: [UInt32]) {
      self.code = code
      self.operands = operands
    }
  }

  /// An opcode; the names are the specification's.
  struct Code: RawRepresentable, Hashable {
    let rawValue: UInt32

    static let name = Code(rawValue: 5)
    static let extInst = Code(rawValue: 12)
    static let entryPoint = Code(rawValue: 15)
    static let capability = Code(rawValue: 17)
    static let typeInt = Code(rawValue: 21)
    static let typeVector = Code(rawValue: 23)
    static let typeImage = Code(rawValue: 25)
    static let typeRuntimeArray = Code(rawValue: 29)
    static let typeStruct = Code(rawValue: 30)
    static let typePointer = Code(rawValue: 32)
    static let typeFunction = Code(rawValue: 33)
    static let constant = Code(rawValue: 43)
    static let function = Code(rawValue: 54)
    static let functionParameter = Code(rawValue: 55)
    static let functionEnd = Code(rawValue: 56)
    static let functionCall = Code(rawValue: 57)
    static let variable = Code(rawValue: 59)
    static let load = Code(rawValue: 61)
    static let store = Code(rawValue: 62)
    static let accessChain = Code(rawValue: 65)
    static let decorate = Code(rawValue: 71)
    static let memberDecorate = Code(rawValue: 72)
    static let vectorShuffle = Code(rawValue: 79)
    static let compositeConstruct = Code(rawValue: 80)
    static let compositeExtract = Code(rawValue: 81)
    static let compositeInsert = Code(rawValue: 82)
    static let copyObject = Code(rawValue: 83)
    static let imageFetch = Code(rawValue: 95)
    static let imageRead = Code(rawValue: 98)
    static let loopMerge = Code(rawValue: 246)
    static let selectionMerge = Code(rawValue: 247)
    static let label = Code(rawValue: 248)
    static let branchConditional = Code(rawValue: 250)
    /// OpSwitch, whose name is a keyword of Swift.
    static let multiway = Code(rawValue: 251)
    static let groupNonUniformShuffle = Code(rawValue: 345)
    static let groupNonUniformShuffleXor = Code(rawValue: 346)
  }

  private let header: [UInt32]
  private var bound: UInt32
  /// What comes before the first function.
  var declarations: [Instruction] = []
  /// Each from its `OpFunction` to its `OpFunctionEnd`.
  var functions: [[Instruction]] = []

  init(_ words: [UInt32]) {
    header = Array(words[..<5])
    bound = words[3]
    var next = 5
    while next < words.count {
      let length = Int(words[next] >> 16)
      precondition(length > 0 && next + length <= words.count, "an instruction reaches past the module's end")
      let instruction = Instruction(
        Code(rawValue: words[next] & 0xffff), Array(words[next + 1..<next + length]))
      if instruction.code == .function { functions.append([]) }
      if functions.isEmpty {
        declarations.append(instruction)
      } else {
        functions[functions.count - 1].append(instruction)
      }
      next += length
    }
  }

  var words: [UInt32] {
    var words = header
    words[3] = bound
    for instruction in declarations + functions.joined() {
      words.append(UInt32(instruction.operands.count + 1) << 16 | instruction.code.rawValue)
      words += instruction.operands
    }
    return words
  }

  mutating func newID() -> UInt32 {
    defer { bound += 1 }
    return bound
  }

  /// Declares something with a new id, which is operand `position` of the instruction, behind all other declarations.
  mutating func declare(_ code: Code, _ operands: [UInt32], idAt position: Int = 0) -> UInt32 {
    let id = newID()
    var operands = operands
    operands.insert(id, at: position)
    declarations.append(Instruction(code, operands))
    return id
  }

  /// Puts annotations before the first type.
  mutating func annotate(_ annotations: [Instruction]) {
    let firstType: UInt32 = 19
    let lastType: UInt32 = 39
    let end =
      declarations.firstIndex { (firstType...lastType).contains($0.code.rawValue) } ?? declarations.endIndex
    declarations.insert(contentsOf: annotations, at: end)
  }

  /// The value of a decoration by decorated id.
  func decorated(_ decoration: SPIRV.Decoration) -> [UInt32: UInt32] {
    let found = declarations.lazy.filter { $0.code == .decorate && $0.operands[1] == decoration.rawValue }
    return Dictionary(found.map { ($0.operands[0], $0.operands.count > 2 ? $0.operands[2] : 0) }) { first, _ in first }
  }
}

extension ModuleEditor.Instruction {
  /// The id that an instruction in a function defines; nil where it defines none.
  var result: UInt32? {
    switch code {
    case .label: return operands[0]
    // OpNop, OpStore, OpCopyMemory, OpImageWrite, barriers, OpAtomicStore, merges, branches, ends.
    case .store, .functionEnd: return nil
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
    case .vectorShuffle, .compositeInsert, .imageFetch, .imageRead: i < 4
    case .selectionMerge: i < 1
    case .branchConditional: i < 3
    case .multiway: i < 2 || i % 2 == 1
    default: true
    }
  }
}
