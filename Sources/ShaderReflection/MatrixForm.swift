extension SPIRV {
  /// A module that uses SPV_NV_cooperative_matrix with the instructions of SPV_KHR_cooperative_matrix in their place; others as they are.
  /// The Khronos extension names what a matrix is for (left or right factor, sum) in its type; that is found by how values of the type are
  /// used, so one type must not serve for two.
  ///
  /// - Returns: nil where one does, or where it is no constant whether a matrix lies by columns.
  package static func withKhronosMatrices(_ words: [UInt32]) -> [UInt32]? {
    var module = ModuleEditor(words)
    let (extensionNV, extensionKHR) = ("SPV_NV_cooperative_matrix", "SPV_KHR_cooperative_matrix")
    let (capabilityNV, capabilityKHR): (UInt32, UInt32) = (5357, 6022)
    guard module.declarations.contains(where: { $0.code == .capability && $0.operands == [capabilityNV] }) else {
      return words
    }

    // What each type is for: 0 left factor, 1 right factor, 2 sum.
    let types = module.declarations.filter { $0.code == .typeCooperativeMatrixNV }
    var uses: [UInt32: UInt32] = [:]
    let composites = module.declarations.filter { $0.code == .constantComposite }
    for function in module.functions {
      var typeOf = Dictionary(composites.map { ($0.operands[1], $0.operands[0]) }) { first, _ in first }
      for instruction in function {
        if let result = instruction.result { typeOf[result] = instruction.operands[0] }
        guard instruction.code == .cooperativeMatrixMulAddNV else { continue }
        for (use, factor) in instruction.operands[2...4].enumerated() {
          guard let type = typeOf[factor], uses[type] ?? UInt32(use) == UInt32(use) else { return nil }
          uses[type] = UInt32(use)
        }
      }
    }

    // Constants 0, 1 and 2 go before the first type that needs them, of the type that its scope has.
    guard let first = types.first, let position = module.declarations.firstIndex(of: first),
      let word = module.declarations.first(where: { $0.code == .constant && $0.operands[1] == first.operands[2] })?
        .operands[0]
    else { return nil }
    let numbers = (0..<3).map { _ in module.newID() }
    module.declarations.insert(
      contentsOf: numbers.enumerated().map { Instruction(.constant, [word, $1, UInt32($0)]) }, at: position)
    let (rows, columns) = (numbers[0], numbers[1])
    var layouts: [UInt32: UInt32] = [:]
    for declaration in module.declarations {
      if declaration.code == .constantFalse { layouts[declaration.operands[1]] = rows }
      if declaration.code == .constantTrue { layouts[declaration.operands[1]] = columns }
    }

    module.declarations = module.declarations.map { declaration in
      let o = declaration.operands
      switch declaration.code {
      case .capability where o == [capabilityNV]: return Instruction(.capability, [capabilityKHR])
      case .extension where o == literal(extensionNV): return Instruction(.extension, literal(extensionKHR))
      case .typeCooperativeMatrixNV: return Instruction(.typeCooperativeMatrixKHR, o + [numbers[Int(uses[o[0]] ?? 2)]])
      default: return declaration
      }
    }
    var isConstant = true
    module.functions = module.functions.map { function in
      function.map { instruction in
        var o = instruction.operands
        func layout(_ isByColumns: UInt32) -> UInt32 {
          if layouts[isByColumns] == nil { isConstant = false }
          return layouts[isByColumns] ?? 0
        }
        switch instruction.code {
        case .cooperativeMatrixLoadNV:  // type, result, pointer, stride, by columns
          o.replaceSubrange(3...4, with: [layout(o[4]), o[3]])
          return Instruction(.cooperativeMatrixLoadKHR, o)
        case .cooperativeMatrixStoreNV:  // pointer, object, stride, by columns
          o.replaceSubrange(2...3, with: [layout(o[3]), o[2]])
          return Instruction(.cooperativeMatrixStoreKHR, o)
        case .cooperativeMatrixMulAddNV: return Instruction(.cooperativeMatrixMulAddKHR, o)
        default: return instruction
        }
      }
    }
    return isConstant ? module.words : nil
  }

  /// A string as words (SPIR-V specification 1.5, section 2.2.1).
  private static func literal(_ text: String) -> [UInt32] {
    var words = [UInt32](repeating: 0, count: text.utf8.count / 4 + 1)
    for (i, byte) in text.utf8.enumerated() { words[i / 4] |= UInt32(byte) << (8 * (i % 4)) }
    return words
  }
}
