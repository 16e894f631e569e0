extension SPIRV {
  /// The module with storage buffers in place of texel buffers that it reads, by name and number the same bindings: for devices that
  /// take no texel view as large as a tensor, and for those that read buffers faster.
  ///
  /// - Parameter components: by binding, the 32-bit numbers of an element: 4 as of a view of RGBA32, or 1 as of R32, whose other
  ///   components read 0, 0 and 1 (Vulkan specification, "Conversion to RGBA").
  package static func readingBuffers(_ words: [UInt32], components: [UInt32: Int]) -> [UInt32] {
    var form = BufferForm(words)
    form.rewrite(components)
    return form.module.words
  }
}

/// A function that takes a texel buffer cannot take a part of a storage buffer in its place, which would be a pointer to memory of any
/// binding; so there is one copy of it for each binding that it is called with.
private struct BufferForm {
  /// What stands for one texel buffer.
  private struct View {
    let buffer: UInt32
    /// The types of one element and of a pointer to it; the element is a vector of 4 or a scalar.
    let element: UInt32
    let pointer: UInt32
    /// The components that a scalar lacks.
    let rest: [UInt32]?
  }

  /// A function with given texel buffers for its parameters of that type.
  private struct Copy: Hashable {
    let function: UInt32
    let buffers: [UInt32]
  }

  private let spirv: SPIRV
  private(set) var module: ModuleEditor
  private var imageTypes: Set<UInt32> = []
  private var imagePointers: Set<UInt32> = []
  private var views: [UInt32: View] = [:]
  private var zero: UInt32 = 0
  private var copies: [Copy: UInt32] = [:]
  private var wanted: [(copy: Copy, id: UInt32)] = []

  init(_ words: [UInt32]) {
    spirv = SPIRV(words: words)
    module = ModuleEditor(words)
  }

  mutating func rewrite(_ components: [UInt32: Int]) {
    replaceBindings(components)
    let originals = module.functions
    let taking = Set(originals.filter { takesImages($0) }.map { $0[0].operands[1] })
    module.functions = originals.filter { !taking.contains($0[0].operands[1]) }.map { rewritten($0, [:]) }
    var renamings: [[UInt32: UInt32]] = []
    while let (copy, id) = wanted.popLast() {
      guard let original = originals.first(where: { $0[0].operands[1] == copy.function }) else { continue }
      let (function, names) = copied(original, copy, id)
      module.functions.append(rewritten(function, parameters(of: function, copy.buffers)))
      renamings.append(names)
    }
    annotateCopies(renamings, of: originals.filter { taking.contains($0[0].operands[1]) })
  }

  // MARK: Declarations

  private mutating func replaceBindings(_ components: [UInt32: Int]) {
    var scalars: [UInt32: UInt32] = [:]  // by image type
    for case (let id, .image(let scalar, isBuffer: true, _, _)) in spirv.types { scalars[id] = scalar }
    var pointees: [UInt32: UInt32] = [:]
    for case (let id, .pointer(_, let image)) in spirv.types where scalars[image] != nil { pointees[id] = image }
    imageTypes = Set(scalars.keys)
    imagePointers = Set(pointees.keys)

    let sampledBuffer: UInt32 = 46
    let imageBuffer: UInt32 = 47
    module.declarations.removeAll { [imageTypes, imagePointers] declaration in
      let o = declaration.operands
      return switch declaration.code {
      case .capability: o[0] == sampledBuffer || o[0] == imageBuffer
      case .typeImage: imageTypes.contains(o[0])
      case .typePointer, .variable: imagePointers.contains(o[0])
      // Declared anew where a copy needs them.
      case .typeFunction: o.contains { imagePointers.contains($0) }
      default: false
      }
    }

    let integer = module.declarations.first { $0.code == .typeInt && $0.operands[1] == 32 }
    let buffers = spirv.variables.filter { imagePointers.contains($0.type) }
    guard let integer, !buffers.isEmpty else { return }
    zero = module.declare(.constant, [integer.operands[0], 0], idAt: 1)
    for (id, type) in buffers {
      guard let scalar = pointees[type].flatMap({ scalars[$0] }), let binding = spirv.decorations[id]?[.binding],
        let count = components[binding]
      else { preconditionFailure("nothing said of a texel buffer") }
      replace(id, scalar, count)
    }
  }

  private mutating func replace(_ variable: UInt32, _ scalar: UInt32, _ count: Int) {
    let storageBuffer = SPIRV.StorageClass.storageBuffer.rawValue
    // A buffer that is never read may have none.
    let vector = module.declarations.first { $0.code == .typeVector && $0.operands[1...] == [scalar, 4] }
    let element = count == 4 ? vector?.operands[0] ?? module.declare(.typeVector, [scalar, 4]) : scalar
    let array = module.declare(.typeRuntimeArray, [element])
    let block = module.declare(.typeStruct, [array])
    let pointer = module.declare(.typePointer, [storageBuffer, element])
    let buffer = module.declare(.typePointer, [storageBuffer, block])
    module.declarations.append(Instruction(.variable, [buffer, variable, storageBuffer]))
    let decorations: [(SPIRV.Decoration, [UInt32])] = [(.offset, [0]), (.nonWritable, [])]
    module.annotate(
      [
        Instruction(.decorate, [array, SPIRV.Decoration.arrayStride.rawValue, UInt32(4 * count)]),
        Instruction(.decorate, [block, SPIRV.Decoration.block.rawValue]),
      ] + decorations.map { Instruction(.memberDecorate, [block, 0, $0.rawValue] + $1) })
    var rest: [UInt32]?
    if count == 1 {
      let isInteger = if case .scalar(.float) = spirv.types[scalar] { false } else { true }
      let none = module.declare(.constant, [scalar, 0], idAt: 1)
      let one = module.declare(.constant, [scalar, isInteger ? 1 : Float(1).bitPattern], idAt: 1)
      rest = [none, none, one]
    }
    views[variable] = View(buffer: variable, element: element, pointer: pointer, rest: rest)
  }

  // MARK: Functions

  private func takesImages(_ function: [Instruction]) -> Bool {
    function.contains { $0.code == .functionParameter && imagePointers.contains($0.operands[0]) }
  }

  /// The texel buffer for each parameter that is one.
  private func parameters(of function: [Instruction], _ buffers: [UInt32]) -> [UInt32: UInt32] {
    let taking = function.filter { $0.code == .functionParameter && imagePointers.contains($0.operands[0]) }
    return Dictionary(uniqueKeysWithValues: zip(taking.map { $0.operands[1] }, buffers))
  }

  /// - Parameter parameters: the texel buffer that a parameter stands for.
  private mutating func rewritten(_ function: [Instruction], _ parameters: [UInt32: UInt32]) -> [Instruction] {
    var images: [UInt32: UInt32] = [:]
    var result: [Instruction] = []
    for instruction in function {
      let o = instruction.operands
      switch instruction.code {
      case .functionParameter where imagePointers.contains(o[0]): break
      case .load where imageTypes.contains(o[0]): images[o[1]] = parameters[o[2]] ?? o[2]
      case .imageFetch, .imageRead:
        guard let view = images[o[2]].flatMap({ views[$0] }) else { preconditionFailure("a read of no known buffer") }
        result += read(view, type: o[0], id: o[1], at: o[3])
      case .functionCall:
        let given = o[3...].map { parameters[$0] ?? $0 }
        let buffers = given.filter { views[$0] != nil }
        let function = buffers.isEmpty ? o[2] : id(of: Copy(function: o[2], buffers: buffers))
        result.append(Instruction(.functionCall, [o[0], o[1], function] + given.filter { views[$0] == nil }))
      default: result.append(instruction)
      }
    }
    return result
  }

  private mutating func read(_ view: View, type: UInt32, id: UInt32, at index: UInt32) -> [Instruction] {
    let pointer = module.newID()
    let chain = Instruction(.accessChain, [view.pointer, pointer, view.buffer, zero, index])
    guard let rest = view.rest else { return [chain, Instruction(.load, [type, id, pointer])] }
    let element = module.newID()
    return [
      chain, Instruction(.load, [view.element, element, pointer]),
      Instruction(.compositeConstruct, [type, id, element] + rest),
    ]
  }

  // MARK: Copies

  private mutating func id(of copy: Copy) -> UInt32 {
    if let id = copies[copy] { return id }
    let id = module.newID()
    copies[copy] = id
    wanted.append((copy, id))
    return id
  }

  /// The function under other ids, without the type of its texel buffers; and the ids by what they were.
  private mutating func copied(
    _ function: [Instruction], _ copy: Copy, _ id: UInt32
  ) -> (function: [Instruction], names: [UInt32: UInt32]) {
    var names = [copy.function: id]
    for instruction in function.dropFirst() {
      if let result = instruction.result { names[result] = module.newID() }
    }
    var copied = function.map { $0.renamed(names) }
    let types = copied.filter { $0.code == .functionParameter }.map { $0.operands[0] }
    copied[0].operands[3] = functionType(copied[0].operands[0], types.filter { !imagePointers.contains($0) })
    return (copied, names)
  }

  private mutating func functionType(_ result: UInt32, _ parameters: [UInt32]) -> UInt32 {
    let type = [result] + parameters
    let known = module.declarations.first { $0.code == .typeFunction && $0.operands.dropFirst().elementsEqual(type) }
    return known?.operands[0] ?? module.declare(.typeFunction, type)
  }

  /// Names and decorations of the copies in place of the originals'.
  private mutating func annotateCopies(_ renamings: [[UInt32: UInt32]], of originals: [[Instruction]]) {
    let gone = Set(originals.joined().compactMap(\.result))
    var annotations: [Instruction] = []
    module.declarations.removeAll { declaration in
      guard declaration.code == .name || declaration.code == .decorate, gone.contains(declaration.operands[0]) else {
        return false
      }
      if declaration.code == .decorate {
        for names in renamings {
          guard let id = names[declaration.operands[0]] else { continue }
          annotations.append(Instruction(.decorate, [id] + declaration.operands[1...]))
        }
      }
      return true
    }
    module.annotate(annotations)
  }
}
