import GPU
import Graph
import Ops
import TestSupport
import Testing

@testable import Tuning

@Suite(.enabled(if: TestDevice.isPresent, TestDevice.absence))
struct OpTimerTests {
  /// What a timer runs is the op: on its first case's inputs, on inputs made for the same types, in every set of memory, and
  /// after it was run often.
  @Test(arguments: catalog.map { OpName(op: $0) })
  func runsTheOp(_ name: OpName) throws {
    let device = try TestDevice.shared.get()
    let opCase = try #require(name.op.cases.first)
    let types = opCase.inputs.map(\.type)
    for fills in [opCase.inputs.map(\.fill), opCase.op.fills(types)] {
      try #require(fills.count == types.count)
      let made = OpCase("", opCase.op, zip(types, fills).map { OpCase.Input($0.shape, $0.dtype, $1) })
      let tensors = try OpTensors(made, on: device, copies: 2)
      let expected = opCase.op.reference(tensors.inputs)
      for variant in opCase.op.offers(tensors.site) {
        var timer = try OpTimer(variant.launch, on: tensors)
        let timings = try timer.measure(samples: 2, seconds: 0)
        #expect(timings.device.count == 2 && timings.min > 0 && timings.median >= timings.min)
        #expect(timings.hasTimestamps == device.plan.hasTimestamps)
        for (result, expected) in zip(try timer.results(), expected) {
          let worst = deviation(of: result.data, from: expected, tolerance: opCase.tolerance)
          #expect(worst == nil, "\(variant.name)")
        }
      }
    }
  }

  struct OpName: Sendable, CustomTestStringConvertible {
    let op: any Op.Type
    var testDescription: String { op.name }
  }

  /// A second pipeline takes the place of the first, or does not, and the op stays what it is.
  @Test func checkedPipelinesComputeTheSame() throws {
    let device = try TestDevice.shared.get()
    let graph = Graph()
    let product = try graph.input("a", [40, 64]).matmul(graph.input("b", [64, 48]))
    let program = Program(graph, results: [product])
    func result() throws -> [UInt32] {
      let plan = try Plan(PlanLayout(program, traits: device.traits), on: device, blocks: [:])
      return try plan.run { feed in
        for (name, count) in [("a", 40 * 64), ("b", 64 * 48)] {
          feed.set(name, (0..<count).map { Float($0 * 31 % 17) / 17 - 0.5 }[...])
        }
      }.words()
    }
    let before = try result()
    let made = device.counters
    let replaced = try PipelineCheck(device).run([(program, 1)], choices: .defaults)
    // Without 64-bit integers the product has one variant, and no choice to check.
    if device.traits.storesWide { #expect(device.counters.vkCreateComputePipelines > made.vkCreateComputePipelines) }
    #expect(replaced <= 2)
    #expect(try result() == before)
  }

  /// Kernels that were dispatched for nothing, some on another device, are what they are.
  @Test(.enabled(if: TestDevice.vectorBits != nil, TestDevice.isNotMesas))
  func kernelsCompiledAheadComputeTheSame() throws {
    let device = try TestDevice.shared.get()
    let graph = Graph()
    let a = graph.input("a", [24, 100])
    let product = try a.matmul(graph.input("b", [100, 36])).gelu()
    let programs = [(program: Program(graph, results: [product, try product.sum()], fusing: false), runs: 1)]
    func result(on device: Device) throws -> [UInt32] {
      let plan = try Plan(PlanLayout(programs[0].program, traits: device.traits), on: device, blocks: [:])
      return try plan.run { feed in
        for (name, count) in [("a", 2400), ("b", 3600)] {
          feed.set(name, (0..<count).map { Float($0 * 31 % 17) / 17 - 0.5 }[...])
        }
      }.words()
    }
    let expected = try result(on: device)
    let fresh = try Device(plan: device.plan, instance: device.instance)
    var precompilation = Precompilation(fresh)
    precompilation.devices = 3
    precompilation.cold = 1e9
    #expect(try precompilation.run(programs, choices: .defaults) == nil)
    precompilation.cold = -1
    #expect(try precompilation.run(programs, choices: .defaults) { true } == nil)
    let count = try #require(try precompilation.run(programs, choices: .defaults))
    #expect(count >= 3)
    #expect(try precompilation.run(programs + programs, choices: .defaults) == count)
    #expect(try result(on: fresh) == expected)
  }

  @Test func coldMemoryIsAsMuchAsAsked() {
    let megabyte = TensorType([1 << 18])
    let site = LaunchSite(inputs: [megabyte], outputs: [megabyte], traits: DeviceTraits())
    #expect(OpTensors.copies(exceeding: 64 << 20, at: site) == 33)
    #expect(OpTensors.copies(exceeding: 0, at: site) == 1)
  }
}
