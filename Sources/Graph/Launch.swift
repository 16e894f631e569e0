import GPU
import Kernels

/// What a launch is decided from: nothing else may influence it, so the same shapes on the same device run the same code.
package struct LaunchSite: Sendable {
  package let inputs: [TensorType]
  package let outputs: [TensorType]
  package var traits: DeviceTraits

  package init(inputs: [TensorType], outputs: [TensorType], traits: DeviceTraits) {
    self.inputs = inputs
    self.outputs = outputs
    self.traits = traits
  }
}

/// The dispatches of one op, in order, and the scratch tensors that live between them. No dispatches: nothing to do.
package struct Launch: Sendable {
  package var scratch: [TensorType]
  package var dispatches: [Dispatch]

  package init(scratch: [TensorType] = [], _ dispatches: [Dispatch]) {
    self.scratch = scratch
    self.dispatches = dispatches
  }
}

/// One of several ways to launch an op at a site.
package struct Variant: Sendable {
  /// Unique among the variants of a site, and stable: measurements are stored under it, e.g. `lanes 16x64`.
  package let name: String
  package let launch: Launch
  /// Whether factors of products are rounded to f16, as a run in mixed precision allows.
  package let roundsFactors: Bool

  package init(_ name: String, _ launch: Launch, roundsFactors: Bool = false) {
    self.name = name
    self.launch = launch
    self.roundsFactors = roundsFactors
  }

  /// What may come of an op's tolerance where factors have 11 bits and not 24.
  package func tolerance(of usual: Double) -> Double { roundsFactors ? 200 * usual : usual }
}

/// One kernel invocation over abstract operands; memory is bound when the plan is recorded.
package struct Dispatch: Sendable {
  package internal(set) var source: KernelSource
  package internal(set) var constants: [SpecializationEntry]
  package let push: [UInt8]
  /// One per binding of the kernel, in binding order.
  package internal(set) var operands: [Operand]
  package let groups: GroupCount

  /// - Parameter lanes: takes the kernel's wide form (`ComputeKernel.wide`), on subgroups of so many.
  package init<K: ComputeKernel>(
    _ kernel: K.Type, constants: K.Constants, push: K.Push, _ operands: [Operand], groups: GroupCount,
    lanes: Int? = nil
  ) {
    guard let source = lanes == nil ? K.source : K.wide else {
      preconditionFailure("\(K.source.name) has no wide form")
    }
    precondition(
      operands.count == source.bindings.count,
      "\(source.name) has \(source.bindings.count) bindings, \(operands.count) operands given")
    self.source = source
    self.constants =
      constants.entries + (lanes.map { [SpecializationEntry(id: KernelSource.lanesID, bits: UInt32($0))] } ?? [])
    self.push = withUnsafeBytes(of: push) { Array($0.prefix(source.pushConstantBytes)) }
    self.operands = operands
    self.groups = groups
  }

  package init<K: ComputeKernel>(
    _ kernel: K.Type, push: K.Push, _ operands: [Operand], groups: GroupCount
  ) where K.Constants == NoConstants {
    self.init(kernel, constants: NoConstants(), push: push, operands, groups: groups)
  }

  /// For elementwise kernels (`include/elementwise.glsl`): `vectors` vectors of four, one an invocation, or in the wide form spans of
  /// two, `wideShare` a subgroup.
  /// - Parameter fitsWide: whether spans suit the tensor; by default, that its vectors come in pairs.
  package init<K: ComputeKernel>(
    _ kernel: K.Type, constants: K.Constants, push: K.Push, _ operands: [Operand], vectors: Int,
    fitsWide: Bool? = nil, _ traits: DeviceTraits
  ) {
    let wide =
      K.wide != nil && traits.storesWide && fitsWide ?? (vectors % 2 == 0)
      && 2 * Self.wideShare...2 * Self.wideShare * Self.wideParts ~= vectors
    self.init(
      kernel, constants: constants, push: push, operands,
      groups: wide
        ? .linear(4 * vectors, perGroup: Self.wideGroup(traits)) : .linear(vectors, perGroup: 64),
      lanes: wide ? traits.subgroupSize : nil)
  }

  package init<K: ComputeKernel>(
    _ kernel: K.Type, push: K.Push, _ operands: [Operand], vectors: Int, _ traits: DeviceTraits
  ) where K.Constants == NoConstants {
    self.init(kernel, constants: NoConstants(), push: push, operands, vectors: vectors, traits)
  }

  /// SHARE of elementwise kernels.
  package static let wideShare = 32

  /// As many subgroups know their number (PART_HERE in `include/lane_stores.glsl`).
  package static let wideParts = 1 << 18

  /// Elements of a workgroup of 64 in the wide form of elementwise kernels.
  package static func wideGroup(_ traits: DeviceTraits) -> Int { 64 / traits.subgroupSize * wideShare * 8 }
}

/// A tensor of the op as a kernel binding: `.input(0)` is a storage buffer, `.input(0).texels(.rgba32f)` a texel buffer.
package struct Operand: Sendable, Hashable {
  package enum Place: Sendable, Hashable {
    case input(Int)
    case output(Int)
    case scratch(Int)
    /// The whole range of the op's `Colocation`.
    case colocated
    /// A binding that this specialisation of the kernel does not touch.
    case unused
  }

  package let place: Place
  package let format: TexelFormat?
  /// The bytes that are bound, where it is not the whole tensor.
  package let bytes: Range<Int>?

  private init(_ place: Place, _ format: TexelFormat? = nil, bytes: Range<Int>? = nil) {
    self.place = place
    self.format = format
    self.bytes = bytes
  }

  package static func input(_ i: Int) -> Operand { Operand(.input(i)) }
  package static func output(_ i: Int) -> Operand { Operand(.output(i)) }
  package static func scratch(_ i: Int) -> Operand { Operand(.scratch(i)) }
  package static let colocated = Operand(.colocated)
  package static let unused = Operand(.unused)

  package func texels(_ format: TexelFormat) -> Operand { Operand(place, format, bytes: bytes) }
  /// A range of the tensor's bytes that starts at a multiple of 256, as devices may demand of what is bound.
  package func part(_ bytes: Range<Int>) -> Operand { Operand(place, format, bytes: bytes) }
  var asBuffer: Operand { Operand(place, bytes: bytes) }
  func moved(to place: Place) -> Operand { Operand(place, format, bytes: bytes) }
  /// RGBA32F where rows of `extent` elements are whole vectors, else R32F; kernels take the matching `ALIGNED` constant.
  package func texels(rowsOf extent: Int) -> Operand { texels(extent % 4 == 0 ? .rgba32f : .r32f) }
}

package struct GroupCount: Sendable, Hashable {
  package let x: Int
  package let y: Int
  package let z: Int

  package init(_ x: Int, _ y: Int = 1, _ z: Int = 1) {
    self.x = x
    self.y = y
    self.z = z
  }

  /// Enough groups for `count` invocations; 65,535 are guaranteed per axis, so they wrap into y (`include/linear.glsl`).
  package static func linear(_ count: Int, perGroup: Int) -> GroupCount {
    let groups = max(1, (count + perGroup - 1) / perGroup)
    let rows = (groups + DeviceTraits.guaranteedGroups - 1) / DeviceTraits.guaranteedGroups
    return GroupCount((groups + rows - 1) / rows, rows)
  }
}

extension Recorder {
  /// Records a dispatch, with its kernel compiled on `device`; `memory` says where the whole tensor of an operand lies.
  /// - Parameter groups: instead of the dispatch's own.
  package mutating func dispatch(
    _ dispatch: Dispatch, on device: Device, groups: GroupCount? = nil, memory: (Operand.Place) -> BufferSlice
  ) throws(VulkanError) {
    let kernel = try device.kernel(dispatch.source, dispatch.constants)
    let bindings = dispatch.operands.map { operand -> BoundResource in
      guard operand.place != .unused else { return .unused }
      let whole = memory(operand.place)
      let bound =
        operand.bytes.map { whole.buffer.slice(offset: whole.offset + $0.lowerBound, bytes: $0.count) } ?? whole
      return operand.format.map { .texels(bound, $0) } ?? .buffer(bound)
    }
    let groups = groups ?? dispatch.groups
    try self.dispatch(
      kernel, bindings, push: dispatch.push, groups: (UInt32(groups.x), UInt32(groups.y), UInt32(groups.z)))
  }
}
