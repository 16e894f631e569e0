import GPU
import Graph
import Kernels
import Ops
import Testing

/// What is refused before a pipeline is made, and what runs instead.
@Suite struct LaunchLimitsTests {
  /// 1000 elements in, doubled.
  private static func site(_ change: (inout DeviceTraits) -> Void = { _ in }) -> LaunchSite {
    var traits = DeviceTraits()
    change(&traits)
    return LaunchSite(inputs: [TensorType([1000])], outputs: [TensorType([1000])], traits: traits)
  }

  private static func scale(texels format: TexelFormat = .rgba32f, groups: GroupCount = GroupCount(4)) -> Launch {
    Launch([
      Dispatch(
        ScaleKernel.self, push: .init(count4: 250, factor: 2), [.input(0).texels(format), .output(0)], groups: groups)
    ])
  }

  private func misfit(_ launch: Launch = scale(), _ change: (inout DeviceTraits) -> Void) -> String? {
    launch.misfit(at: Self.site(change))
  }

  @Test func eachLimitIsNamed() {
    #expect(misfit { _ in } == nil)
    #expect(
      misfit { $0.maxTexelBufferElements = 249 }
        == "kernel 'scale' binds 'x' of 250 texels (maxTexelBufferElements), the device allows 249")
    #expect(misfit { $0.maxTexelBufferElements = 250 } == nil)
    #expect(misfit(Self.scale(texels: .r32f)) { $0.maxTexelBufferElements = 999 }?.contains("1000 texels") == true)
    #expect(
      misfit { $0.maxStorageBufferRange = 3999 }
        == "kernel 'scale' binds 'y' of 4000 bytes (maxStorageBufferRange), the device allows 3999")
    #expect(
      misfit { $0.maxWorkgroupInvocations = 63 } == "kernel 'scale' has 64 invocations, the device allows 63")
    #expect(
      misfit { $0.maxWorkgroupSize = [63, 63, 63] } == "kernel 'scale' has 64 invocations in x, the device allows 63")
    #expect(
      misfit { $0.maxPushConstantBytes = 7 } == "kernel 'scale' takes 8 bytes of push constants, the device allows 7")
    let wide = Self.scale(groups: GroupCount(1, 65_536))
    #expect(misfit(wide) { _ in } == "kernel 'scale' wants 65536 groups in y, the device allows 65535")
    #expect(misfit(wide) { $0.maxGroups = [1, 1 << 20, 1] } == nil)
  }

  /// Of the first case of an op, for a device.
  private func misfit(_ op: any Op.Type, _ traits: DeviceTraits) throws -> String? {
    let opCase = try #require(op.cases.first)
    let types = opCase.inputs.map(\.type)
    let site = LaunchSite(inputs: types, outputs: try opCase.op.infer(types), traits: traits)
    return opCase.op.launch(site).misfit(at: site, colocation: opCase.op.colocated)
  }

  @Test func sharedMemoryAndSubgroups() throws {
    var gpu = DeviceTraits(subgroupSize: 32, isSoftware: false)
    #expect(try misfit(Matmul.self, gpu) == nil)
    gpu.sharedMemoryBytes = 1024
    let shared = try #require(try misfit(Matmul.self, gpu))
    #expect(shared.contains("bytes of shared memory, the device has 1024"), "\(shared)")

    // Groups of 64 are one subgroup, several, or part of one; subgroups of 48 would leave one partly empty.
    for size in [4, 8, 32, 64, 128] {
      #expect(try misfit(LayerNorm.self, DeviceTraits(subgroupSize: size)) == nil, "\(size)")
    }
    let odd = try #require(try misfit(LayerNorm.self, DeviceTraits(subgroupSize: 48)))
    #expect(odd.hasSuffix("shuffles and has 64 invocations, not whole subgroups of 48"), "\(odd)")
  }

  /// Default, one that is wider than a device may be, one more.
  private struct Three: Op {
    static let name = "three"
    func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] { inputs }
    func launch(_ site: LaunchSite) -> Launch { LaunchLimitsTests.scale(groups: GroupCount(4)) }
    func variants(_ site: LaunchSite) -> [Variant] {
      [
        Variant("default", launch(site)), Variant("scalar", LaunchLimitsTests.scale(texels: .r32f)),
        Variant("wide", LaunchLimitsTests.scale(groups: GroupCount(70_000))),
      ]
    }
    func reference(_ inputs: [HostTensor]) -> [HostTensor] { [inputs[0].map { 2 * $0 }] }
    static let cases: [OpCase] = []
  }

  private func groups(_ choices: Choices, _ site: LaunchSite) -> Int? {
    choices.launch(Three(), site).launch.dispatches.first?.groups.x
  }

  @Test func choicesAreFollowedWhereTheyFit() {
    let site = Self.site()
    let key = Choices.key(Three(), site.inputs)
    #expect(key == "three Three() [1000]")
    #expect(Choices.defaults.launch(Three(), site).launch.dispatches[0].operands[0].format == .rgba32f)
    #expect(Choices([key: "scalar"]).launch(Three(), site).launch.dispatches[0].operands[0].format == .r32f)
    // Not offered any more, of another site, and larger than the device: the default.
    #expect(Choices([key: "gone"]).launch(Three(), site).launch.dispatches[0].operands[0].format == .rgba32f)
    #expect(Choices([key + "1": "scalar"]).launch(Three(), site).launch.dispatches[0].operands[0].format == .rgba32f)
    #expect(groups(Choices([key: "wide"]), site) == 4)
    #expect(groups(Choices([key: "wide"]), Self.site { $0.maxGroups = [1 << 20, 1, 1] }) == 70_000)
  }

  @Test func whatDoesNotFitGivesWay() throws {
    // Three groups in x: the default and the scalar variant do not fit, nor does the wide one.
    let narrow = Self.site { $0.maxGroups = [3, 1, 1] }
    let none = Choices.defaults.launch(Three(), narrow)
    #expect(none.misfit == "three([1000]): kernel 'scale' wants 4 groups in x, the device allows 3")

    let graph = Graph()
    let x = graph.input("x", [1000])
    let program = Program(graph, results: try graph.apply(Three(), to: [x]))
    #expect(PlanLayout(program, traits: DeviceTraits()).misfit == nil)
    #expect(PlanLayout(program, traits: narrow.traits).misfit == none.misfit)
  }
}
