import GPU
import Graph
import Kernels
import Ops
import Testing

/// What can be said of the catalog without a device.
struct CatalogNullTests {
  /// Devices that launches differ on: lavapipe, newer ones with vectors of 256 and 512 bits, SwiftShader, NVIDIA, AMD, one without
  /// shuffles, and NVIDIA in mixed precision.
  static let traits = [
    DeviceTraits(subgroupSize: 8, isSoftware: true),
    DeviceTraits(subgroupSize: 8, isSoftware: true, loadsOnceInLoops: true),
    DeviceTraits(subgroupSize: 16, isSoftware: true, loadsOnceInLoops: true),
    DeviceTraits(subgroupSize: 4, isSoftware: true, hasInt64: false),
    DeviceTraits(subgroupSize: 32, isSoftware: false), DeviceTraits(subgroupSize: 64, isSoftware: false),
    DeviceTraits(subgroupSize: 1, isSoftware: false),
    DeviceTraits(subgroupSize: 32, isSoftware: false, matrixUnit: MatrixUnit(m: 16, n: 16, k: 16)),
  ]

  struct Launched {
    let label: String
    let op: any Op
    let site: LaunchSite
    let launch: Launch
  }

  /// Of every variant.
  static func launches(of op: any Op.Type) throws -> [Launched] {
    try sites(of: op).flatMap { opCase, site in
      opCase.op.variants(site).map { variant in
        Launched(
          label: "\(op.name) \(opCase.name) \(variant.name), subgroups of \(site.traits.subgroupSize)",
          op: opCase.op, site: site, launch: variant.launch)
      }
    }
  }

  static func sites(of op: any Op.Type) throws -> [(opCase: OpCase, site: LaunchSite)] {
    try op.cases.flatMap { opCase in
      let inputs = opCase.inputs.map(\.type)
      let outputs = try opCase.op.infer(inputs)
      return traits.map { (opCase, LaunchSite(inputs: inputs, outputs: outputs, traits: $0)) }
    }
  }

  @Test func opsAndCasesHaveUniqueNames() {
    #expect(Dictionary(grouping: catalog, by: { $0.name }).filter { $1.count > 1 }.keys.sorted() == [])
    for op in catalog {
      #expect(!op.cases.isEmpty, "\(op.name) has no cases")
      #expect(Set(op.cases.map(\.name)).count == op.cases.count, "\(op.name): two cases of one name")
    }
  }

  /// Measurements are stored by name, and the first variant is what runs without any.
  @Test func variantsHaveUniqueNamesAndTheFirstIsTheDefault() throws {
    func dump(_ launch: Launch) -> String { launch.dispatches.map { "\($0)" }.joined() + "\(launch.scratch)" }
    for (opCase, site) in try catalog.flatMap({ try Self.sites(of: $0) }) {
      let variants = opCase.op.offers(site)
      let label: Comment = "\(opCase.op.name) \(opCase.name), \(site.traits)"
      #expect(Set(variants.map(\.name)).count == variants.count, label)
      let first = try #require(variants.first, label)
      #expect(dump(first.launch) == dump(opCase.op.launch(site).formed(for: site)), label)
    }
  }

  /// Something runs with the shared memory that every Vulkan device has, and where no texel view is large enough.
  @Test func aVariantFitsEveryDevice() throws {
    for (opCase, site) in try catalog.flatMap({ try Self.sites(of: $0) }) {
      var traits = site.traits
      traits.sharedMemoryBytes = 16_384
      traits.maxTexelBufferElements = 0
      let small = LaunchSite(inputs: site.inputs, outputs: site.outputs, traits: traits)
      let misfits = opCase.op.offers(small).map { $0.misfit(opCase.op, small) }
      #expect(misfits.contains(nil), "\(opCase.op.name) \(opCase.name): \(misfits)")
    }
  }

  /// What is offered where no texel view is large enough, and on hardware the second way to read, views no texels.
  @Test func buffersTakeThePlaceOfTexels() throws {
    func viewsTexels(_ variant: Variant) -> Bool {
      variant.launch.dispatches.contains { $0.operands.contains { $0.format != nil } }
    }
    for op in catalog {
      for (opCase, site) in try Self.sites(of: op).prefix(Self.traits.count) {
        let label: Comment = "\(opCase.op.name) \(opCase.name), \(site.traits)"
        let fromBuffers = opCase.op.offers(site).filter { $0.name.hasSuffix(", buffers") }
        #expect(
          fromBuffers.isEmpty == (site.traits.isSoftware || !opCase.op.variants(site).contains(where: viewsTexels)),
          label)
        #expect(!fromBuffers.contains(where: viewsTexels), label)
        var small = site
        small.traits.maxTexelBufferElements = 0
        #expect(!opCase.op.offers(small).contains(where: viewsTexels), label)
      }
    }
  }

  @Test func everyShaderIsUsed() throws {
    let used = Set(
      try catalog.flatMap { try Self.launches(of: $0) }.flatMap { $0.launch.dispatches.map(\.source.name) })
    #expect(KernelSource.all.map(\.name).filter { !used.contains($0) } == [])
  }

  @Test func dispatchesKeepTheGuaranteedLimits() throws {
    for launched in try catalog.flatMap({ try Self.launches(of: $0) }) {
      for dispatch in launched.launch.dispatches {
        let groups = [dispatch.groups.x, dispatch.groups.y, dispatch.groups.z]
        #expect(groups.allSatisfy { 1...DeviceTraits.guaranteedGroups ~= $0 }, "\(launched.label): groups \(groups)")
        #expect(dispatch.push.count <= 128, "\(launched.label)")
        #expect(dispatch.push.count == dispatch.source.pushConstantBytes, "\(launched.label)")
        #expect(dispatch.operands.count == dispatch.source.bindings.count, "\(launched.label)")
      }
    }
  }

  /// Every output, mutated input and scratch tensor is written; no other input is; views suit their tensor's type.
  @Test func operandsAgreeWithTheShadersAccess() throws {
    for launched in try catalog.flatMap({ try Self.launches(of: $0) }) {
      let (op, site, launch, label) = (launched.op, launched.site, launched.launch, launched.label)
      var written: Set<Operand.Place> = []
      for dispatch in launch.dispatches {
        for (operand, binding) in zip(dispatch.operands, dispatch.source.bindings) where operand.place != .unused {
          let what = "\(label): \(operand.place) as \(binding.name)"
          #expect((operand.format != nil) == (binding.kind != .storageBuffer), "\(what): texel view or not")
          let type: TensorType
          switch operand.place {
          case .input(let i):
            type = site.inputs[i]
            #expect(!binding.access.writes || op.mutates.contains(i), "\(what): an input is written")
          case .colocated:
            type = TensorType([])
            #expect(!binding.access.writes, "\(what): an input is written")
          case .output(let i): type = site.outputs[i]
          case .scratch(let i): type = launch.scratch[i]
          case .unused: continue
          }
          if let format = operand.format { #expect(format.suits(type.dtype), "\(what): view \(format) of \(type)") }
          if binding.access.writes { written.insert(operand.place) }
        }
      }
      guard !launch.dispatches.isEmpty else { continue }
      let owed: [Operand.Place] =
        site.outputs.indices.map { .output($0) } + op.mutates.map { .input($0) }
        + launch.scratch.indices.map { .scratch($0) }
      #expect(owed.filter { !written.contains($0) } == [], "\(label): never written")
    }
  }
}

extension TexelFormat {
  /// Whether it may show a tensor's elements: floats only floats; words show the bits of anything.
  fileprivate func suits(_ dtype: DType) -> Bool {
    switch self {
    case .rgba32f, .r32f: dtype == .f32
    case .rgba32ui, .r32ui: true
    case .rgba8ui, .r8ui: dtype == .u8
    case .rgba16f, .r32i: false
    }
  }
}
