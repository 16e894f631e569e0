import ShaderCompiler

/// The members of a Swift struct with the layout of a shader's push-constant block.
struct PushMirror {
  /// Gaps are members of their own, `gap_` and a number: Swift leaves anything in one, and equal blocks are to have equal bytes.
  private(set) var members: [(name: String, type: String)] = []

  static func isGap(_ name: String) -> Bool { name.hasPrefix("gap_") }

  /// Refuses a block that no Swift struct has the layout of, with the shader's name and line.
  init(of interface: ShaderInterface, in module: ShaderModule) throws(ShaderError) {
    var end = 0
    for member in interface.push {
      guard let layout = SwiftLayout(of: member.type) else {
        throw module.error(
          "push constant \(member.name): only 32-bit int, uint, float, their vectors of 2 or 4, uint8_t, and arrays of these",
          at: member.name)
      }
      let offset = (end + layout.alignment - 1) / layout.alignment * layout.alignment
      guard offset == member.offset else {
        throw module.error(
          "push constant \(member.name) is at byte \(member.offset), in Swift at \(offset): reorder", at: member.name)
      }
      for gap in stride(from: end, to: offset, by: 1) { members.append(("gap_\(gap)", "UInt8")) }
      members.append((member.name, layout.name))
      end = offset + layout.size
    }
    guard interface.pushBytes <= 128 else {
      throw module.error(
        "push constants take \(interface.pushBytes) bytes; Vulkan guarantees 128", at: "push_constant")
    }
  }
}

/// The Swift type that mirrors a push-constant member, with its place in a Swift struct.
private struct SwiftLayout {
  let name: String
  let size: Int
  let alignment: Int

  /// `nil` where Swift has no type of the same layout: a vec3 fills 12 bytes in GLSL, a SIMD3 16.
  init?(of type: ShaderInterface.PushType) {
    switch type {
    case .scalar(let scalar): (name, size, alignment) = (scalar.swiftType, 4, 4)
    case .byte: (name, size, alignment) = ("UInt8", 1, 1)
    case .vector(_, count: 3): return nil
    case .vector(let scalar, let count):
      (name, size, alignment) = ("SIMD\(count)<\(scalar.swiftType)>", 4 * count, 4 * count)
    case .array(let element, let count, let stride):
      guard let element = SwiftLayout(of: element), stride == element.size else { return nil }
      (name, size, alignment) = ("InlineArray<\(count), \(element.name)>", count * stride, element.alignment)
    }
  }
}
