import Kernels

/// Reads a compute shader's workgroup size, with specialization applied, out of its SPIR-V (SPIR-V 1.5, sections 2.3,
/// 3.32): the constant decorated `WorkgroupSize`, else the `LocalSize` execution mode.
func workgroupSizeOf(_ words: [UInt32], _ entries: [SpecializationEntry]) -> [Int] {
  var size = [1, 1, 1]
  var specialized: [UInt32: UInt32] = [:]  // result id -> specialization constant id
  var constants: [UInt32: UInt32] = [:]  // result id -> value
  var composites: [UInt32: [UInt32]] = [:]  // result id -> constituents
  var builtin: UInt32?
  var i = 5
  while i < words.count {
    let length = Int(words[i] >> 16)
    guard length > 0, i + length <= words.count else { break }
    let operands = words[(i + 1)..<(i + length)].map { $0 }
    switch words[i] & 0xffff {
    case 16 where operands.count == 5 && operands[1] == 17:  // OpExecutionMode LocalSize
      size = operands[2...].map(Int.init)
    case 71 where operands.count == 3 && operands[1] == 1:  // OpDecorate SpecId
      specialized[operands[0]] = operands[2]
    case 71 where operands.count == 3 && operands[1] == 11 && operands[2] == 25:  // OpDecorate BuiltIn WorkgroupSize
      builtin = operands[0]
    case 43 where operands.count == 3, 50 where operands.count == 3:  // OpConstant, OpSpecConstant
      constants[operands[1]] = operands[2]
    case 44 where operands.count == 5, 51 where operands.count == 5:  // OpConstantComposite, OpSpecConstantComposite
      composites[operands[1]] = Array(operands[2...])
    case 54: i = words.count  // OpFunction: all declarations are behind us
    default: break
    }
    i += length
  }
  guard let builtin, let parts = composites[builtin] else { return size }
  return parts.map { part in
    let entry = entries.first { $0.id == specialized[part] }
    return Int(entry?.bits ?? constants[part] ?? 1)
  }
}
