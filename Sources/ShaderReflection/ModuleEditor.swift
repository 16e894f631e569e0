/// A SPIR-V module as instructions that can be changed (SPIR-V specification 1.5, section 2.4).
struct ModuleEditor {
  private let header: [UInt32]
  private var bound: UInt32
  /// What comes before the first function.
  var declarations: [Instruction] = []
  /// Each from its `OpFunction` to its `OpFunctionEnd`.
  var functions: [[Instruction]] = []

  init(_ words: [UInt32]) {
    header = Array(words[..<5])
    bound = words[3]
    var end = header.count
    for instruction in Instruction.all(of: words) {
      end += 1 + instruction.operands.count
      if instruction.code == .function { functions.append([]) }
      if functions.isEmpty {
        declarations.append(instruction)
      } else {
        functions[functions.count - 1].append(instruction)
      }
    }
    precondition(end == words.count, "an instruction reaches past the module's end")
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
}
