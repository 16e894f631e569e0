extension SPIRV {
  /// The module as if every invocation were a subgroup of its own, for devices whose compute shaders cannot shuffle: a shuffle gives
  /// what is put in, which is right wherever clusters are of one lane.
  package static func withLoneInvocations(_ words: [UInt32]) -> [UInt32] {
    var module = ModuleEditor(words)
    let spirv = SPIRV(words: words)
    func variable(_ builtIn: UInt32) -> UInt32? { spirv.decorations.first { $0.value[.builtIn] == builtIn }?.key }
    let (localInvocationIndex, subgroupSize, subgroupID, subgroupInvocation): (UInt32, UInt32, UInt32, UInt32) =
      (29, 36, 40, 41)

    // Numbers that do not differ between invocations become variables that hold a constant.
    var replaced: [UInt32: UInt32] = [:]
    for (builtIn, value) in [(subgroupSize, 1), (subgroupInvocation, 0)] as [(UInt32, UInt32)] {
      guard let id = variable(builtIn) else { continue }
      guard let position = module.declarations.firstIndex(where: { $0.code == .variable && $0.operands[1] == id }),
        let type = module.declarations.first(where: {
          $0.code == .typePointer && $0.operands[0] == module.declarations[position].operands[0]
        })?.operands[2]
      else { continue }
      let storage: UInt32 = 6  // Private
      module.declarations.remove(at: position)
      let pointer = module.declare(.typePointer, [storage, type])
      let constant = module.declare(.constant, [type, value], idAt: 1)
      module.declarations.append(Instruction(.variable, [pointer, id, storage, constant]))
      // Flat, RelaxedPrecision and the like go with it.
      module.declarations.removeAll { $0.code == .decorate && $0.operands[0] == id }
    }
    if let id = variable(subgroupID) {
      if let index = variable(localInvocationIndex) {
        replaced[id] = index
        module.removeInput(id)
      } else if let decoration = module.declarations.firstIndex(where: {
        $0.code == .decorate && $0.operands == [id, SPIRV.Decoration.builtIn.rawValue, subgroupID]
      }) {
        module.declarations[decoration].operands[2] = localInvocationIndex
      }
    }
    let capabilities: ClosedRange<UInt32> = 61...68  // GroupNonUniform to GroupNonUniformQuad
    module.declarations.removeAll { $0.code == .capability && capabilities.contains($0.operands[0]) }
    module.functions = module.functions.map { function in
      function.map { instruction in
        let o = instruction.operands
        switch instruction.code {
        case .groupNonUniformShuffle, .groupNonUniformShuffleXor: return Instruction(.copyObject, [o[0], o[1], o[3]])
        case .load: return instruction.renamed(replaced)
        default: return instruction
        }
      }
    }
    return module.words
  }
}

extension ModuleEditor {
  /// Removes a variable that the entry point lists.
  fileprivate mutating func removeInput(_ id: UInt32) {
    declarations.removeAll { declaration in
      switch declaration.code {
      case .name, .decorate: declaration.operands[0] == id
      case .variable: declaration.operands[1] == id
      default: false
      }
    }
    for i in declarations.indices where declarations[i].code == .entryPoint {
      // Execution model, function, name, and the interface after the name's terminator.
      let name = declarations[i].operands.dropFirst(2)
      guard let end = name.firstIndex(where: { $0 >> 24 == 0 }) else { continue }
      let interface = declarations[i].operands[(end + 1)...].filter { $0 != id }
      declarations[i].operands.replaceSubrange((end + 1)..., with: interface)
    }
  }
}
