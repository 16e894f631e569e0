import GPU
import Graph
import Ops
import TestSupport
import Testing
import Tuning

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
      for variant in opCase.op.variants(tensors.site) {
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

  @Test func coldMemoryIsAsMuchAsAsked() {
    let megabyte = TensorType([1 << 18])
    let site = LaunchSite(inputs: [megabyte], outputs: [megabyte], traits: DeviceTraits())
    #expect(OpTensors.copies(exceeding: 64 << 20, at: site) == 33)
    #expect(OpTensors.copies(exceeding: 0, at: site) == 1)
  }
}
