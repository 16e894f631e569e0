import GPU
import Graph
import Ops
import TestSupport
import Testing

/// Every case of every op on the device, against its meaning in Double.
@Suite(.enabled(if: TestDevice.isPresent, TestDevice.absence))
struct CatalogTests {
  /// Every variant: results against the reference; nothing else written; the same bits again, also elsewhere in memory and
  /// with other garbage around.
  @Test(arguments: CatalogCase.all)
  func forward(_ test: CatalogCase) throws {
    let device = try TestDevice.shared.get()
    try check(test, test.variants(at: test.site(device.traits)), on: device)
  }

  /// The matrix units: numbers that f16 has are multiplied as exactly as in f32, all others within what f16 loses. Attention rounds its
  /// probabilities, too.
  @Test(.enabled(if: TestDevice.hasMatrixUnits, TestDevice.noMatrixUnits), arguments: CatalogCase.all)
  func mixedPrecision(_ test: CatalogCase) throws {
    let device = try TestDevice.mixed.get()
    let all = test.variants(at: try test.site(device.traits)).filter(\.roundsFactors)
    // Two of them: a software driver takes seconds to compile each.
    let large = all.first { !$0.isOneTile }
    let small = all.first { $0.isOneTile && $0.name == "matrix 32" }
    let variants = all.count == 1 ? all : [large, small].compactMap(\.self)
    try check(test, variants, on: device)
    let exact = test.op.hasPrefix(Attention.name) ? [] : variants.map { Variant($0.name, $0.launch) }
    try check(test, exact, on: device) { tensor in
      tensor.type.dtype == .f32 ? HostTensor(tensor.type, tensor.data.map { Double(Float16($0)) }) : tensor
    }
  }

  /// What an op launches on the other kind of device, software or hardware, must be right too, and runs here as well.
  @Test(arguments: CatalogCase.all)
  func otherKindOfDevice(_ test: CatalogCase) throws {
    let device = try TestDevice.shared.get()
    var site = try test.site(device.traits)
    let here = Set(test.variants(at: site).map { kernels($0.launch) })
    site.traits.isSoftware.toggle()
    let others = test.opCase.op.variants(site).filter { $0.misfit(test.opCase.op, site) == nil }
    try check(test, others.filter { !here.contains(kernels($0.launch)) }, on: device)
  }

  /// So must what it launches on other processors; one variant a case and processor.
  @Test(arguments: CatalogCase.all)
  func otherProcessor(_ test: CatalogCase) throws {
    let device = try TestDevice.shared.get()
    var site = try test.site(device.traits)
    let here = Set(test.variants(at: site).map { kernels($0.launch) })
    for longestLoop in LongestLoop.allCases where longestLoop != device.traits.longestLoop {
      site.traits.longestLoop = longestLoop
      let other = test.variants(at: site).first { !here.contains(kernels($0.launch)) }
      try check(test, other.map { [$0] } ?? [], on: device)
    }
  }

  /// So must what runs where a device takes no texel view as large as an operand.
  @Test(arguments: CatalogCase.all)
  func deviceWithoutTexelBuffers(_ test: CatalogCase) throws {
    let device = try TestDevice.shared.get()
    var site = try test.site(device.traits)
    let usual = try #require(test.variants(at: site).first)
    site.traits.maxTexelBufferElements = 0
    let variant = try #require(test.variants(at: site).first)
    guard kernels(variant.launch) != kernels(usual.launch) else { return }
    try check(test, [variant], on: device)
    // Compilers of GPUs may contract operations in other places; these do not.
    guard device.traits.isSoftware, variant.name == usual.name else { return }
    var random = test.random
    let inputs = test.inputs(&random)
    let results = try [usual, variant].map {
      try GuardedRun(test.opCase.op, $0.launch, inputs, on: device, poison: 0x7fc0_0bad).results
    }
    let isSame = results[0] == results[1]
    #expect(isSame, "other bits from buffers")
  }

  /// And what such a GPU runs whose lanes cannot exchange values. The first case of each op: lone lanes take long to compile.
  @Test(arguments: CatalogCase.firsts)
  func deviceWithoutShuffles(_ test: CatalogCase) throws {
    let device = try TestDevice.shared.get()
    var site = try test.site(device.traits)
    site.traits.isSoftware = false
    site.traits.maxTexelBufferElements = 0
    site.traits.subgroupSize = 1
    try check(test, [try #require(test.variants(at: site).first)], on: device)
  }

  private func kernels(_ launch: Launch) -> [String] {
    launch.dispatches.map { "\($0.source.name) \($0.constants)" }
  }

  private func check(
    _ test: CatalogCase, _ variants: [Variant], on device: Device, of change: (HostTensor) -> HostTensor = { $0 }
  ) throws {
    guard !variants.isEmpty else { return }
    let op = test.opCase.op
    var random = test.random
    let inputs = test.inputs(&random).map(change)
    let expected = op.reference(inputs)
    let nan: UInt32 = 0x7fc0_0bad
    let large: UInt32 = 0x4e0b_ad00  // 5.8e8 as a float
    for variant in variants {
      let name = Comment(rawValue: variant.name)
      let run = try GuardedRun(op, variant.launch, inputs, on: device, poison: nan)
      #expect(run.breaches == [], name)
      try #require(run.results.count == expected.count, "the reference gives outputs, then mutated inputs")
      for (i, (bytes, tensor)) in zip(run.results, expected).enumerated() {
        let worst = deviation(
          of: numbers(bytes, tensor.type.dtype), from: tensor, tolerance: variant.tolerance(of: test.opCase.tolerance))
        #expect(worst == nil, "\(variant.name), result \(i)")
      }
      let isSameAgain = try GuardedRun(op, variant.launch, inputs, on: device, poison: nan).results == run.results
      #expect(isSameAgain, "\(variant.name): other bits when run twice")
      let moved = try GuardedRun(op, variant.launch, inputs, on: device, poison: large, reversed: true)
      let isSameElsewhere = moved.results == run.results
      #expect(isSameElsewhere, "\(variant.name): other bits when placed elsewhere")
      #expect(moved.breaches == [], name)
    }
  }

  /// A block of parameters that is too large to bind is updated in pieces, to the same result.
  @Test func adamWInPieces() throws {
    let device = try TestDevice.shared.get()
    let test = try #require(CatalogCase.all.first { $0.opCase.op is AdamW && $0.opCase.name == "many groups" })
    var traits = device.traits
    traits.maxStorageBufferRange = 1 << 14
    var random = test.random
    let inputs = test.inputs(&random)
    let types = inputs.map(\.type)
    let site = LaunchSite(inputs: types, outputs: try test.opCase.op.infer(types), traits: traits)
    let launch = test.opCase.op.launch(site)
    #expect(launch.dispatches.count == 7)  // three pieces, twice, and the norm
    let usual = test.opCase.op.launch(LaunchSite(inputs: types, outputs: site.outputs, traits: device.traits))
    let whole = try GuardedRun(test.opCase.op, usual, inputs, on: device, poison: 0x7fc0_0bad)
    let pieces = try GuardedRun(test.opCase.op, launch, inputs, on: device, poison: 0x7fc0_0bad)
    #expect(pieces.breaches == [])
    for (a, b) in zip(whole.results, pieces.results) {
      let worst = deviation(
        of: numbers(b, .f32), from: HostTensor([a.count / 4], numbers(a, .f32)), tolerance: 1e-6)
      #expect(worst == nil)
    }
  }

  /// The gradient graph, run on the device, against central differences of the reference: every element of small inputs,
  /// a sample of others, and one random direction that no element escapes.
  @Test(arguments: CatalogCase.differentiable)
  func gradient(_ test: CatalogCase) throws {
    let device = try TestDevice.shared.get()
    var random = test.random
    let inputs = test.inputs(&random)
    let wanted = inputs.indices.filter { test.opCase.inputs[$0].isDifferentiated }
    let (gradients, cotangents) = try deviceGradients(test.opCase, inputs, wanted, &random, on: device)

    func loss(_ inputs: [HostTensor]) -> Double {
      let outputs = test.opCase.op.reference(inputs).prefix(cotangents.count)
      return zip(outputs, cotangents).reduce(0) { sum, pair in
        guard let cotangent = pair.1 else { return sum }
        return sum + zip(pair.0.data, cotangent.data).reduce(0) { $0 + $1.0 * $1.1 }
      }
    }
    func slope(_ direction: [[Double]]) -> Double {
      let step = 1e-4
      func moved(_ t: Double) -> [HostTensor] {
        var moved = inputs
        for (i, d) in zip(wanted, direction) { moved[i].data = zip(inputs[i].data, d).map { $0 + t * $1 } }
        return moved
      }
      return (loss(moved(step)) - loss(moved(-step))) / (2 * step)
    }

    let tolerance = 10 * test.opCase.tolerance
    let samples = 16
    for (w, i) in wanted.enumerated() {
      let gradient = gradients[w]
      let largest = gradient.map(abs).reduce(0, max)
      #expect(largest.isFinite, "gradient of input \(i)")
      let indices =
        gradient.count <= samples
        ? Array(gradient.indices) : (0..<samples).map { _ in Int(random.next() % UInt64(gradient.count)) }
      var worst: (error: Double, text: String)?
      for j in indices {
        var direction = wanted.map { [Double](repeating: 0, count: inputs[$0].data.count) }
        direction[w][j] = 1
        let expected = slope(direction)
        let error = abs(gradient[j] - expected) / (tolerance * max(largest, abs(expected)) + 1e-7)
        if !(error <= worst?.error ?? 1) { worst = (error, "element \(j) is \(gradient[j]), not \(expected)") }
      }
      #expect(worst?.text == nil, "gradient of input \(i)")
    }

    let direction = wanted.map { i in inputs[i].data.map { _ in random.normal() } }
    let terms = zip(gradients, direction).flatMap { zip($0, $1).map(*) }
    let along = terms.reduce(0, +)
    let expected = slope(direction)
    #expect(
      abs(along - expected) <= tolerance * terms.reduce(0) { $0 + abs($1) } + 1e-6,
      "along a random direction: \(along), not \(expected)")
  }

  /// Gradients of sum(cotangent * output) with respect to the inputs `wanted`, and the cotangents; nil for integers.
  private func deviceGradients(
    _ opCase: OpCase, _ inputs: [HostTensor], _ wanted: [Int], _ random: inout SplitMix64, on device: Device
  ) throws -> (gradients: [[Double]], cotangents: [HostTensor?]) {
    let graph = Graph()
    let leaves = inputs.enumerated().map { graph.input("input \($0)", $1.shape, $1.type.dtype) }
    let outputs = try graph.apply(opCase.op, to: leaves)
    let cotangents = outputs.enumerated().map { i, output in
      output.type.dtype == .f32 && i < opCase.differentiatedOutputs
        ? HostTensor(output.shape, (0..<output.type.count).map { _ in Double(Float(random.normal())) }) : nil
    }
    var weighted: [Value] = []
    var weights: [Value] = []
    for (i, output) in outputs.enumerated() where cotangents[i] != nil {
      weighted.append(output)
      weights.append(graph.input("cotangent \(i)", output.shape))
    }
    let loss = try graph.apply(WeightedSum(), to: weighted + weights)[0]
    let gradients = try graph.gradients(of: loss, withRespectTo: wanted.map { leaves[$0] })
    let present = try zip(wanted, gradients).map { i, gradient in
      try #require(gradient, "input \(i) has no gradient: its case needs isDifferentiated: false if that is meant")
    }

    let layout = PlanLayout(Program(graph, results: present), traits: device.traits)
    let plan = try Plan(layout, on: device, blocks: [:], slots: 1)
    let run = try plan.run { feed in
      for (i, input) in inputs.enumerated() {
        feed.set("input \(i)", input.bytes.prefix(input.type.count * input.type.dtype.bytes))
      }
      for (i, cotangent) in cotangents.enumerated() {
        if let cotangent { feed.set("cotangent \(i)", cotangent.data.map { Float($0) }[...]) }
      }
    }
    return (try present.indices.map { try run.floats($0).map(Double.init) }, cotangents)
  }
}

extension Variant {
  fileprivate var isOneTile: Bool { launch.dispatches[0].groups.x * launch.dispatches[0].groups.y == 1 }
}

/// sum(value * weight) over pairs, the values first: the loss of a gradient test, whose gradient is the weights.
private struct WeightedSum: Op {
  static let name = "weighted_sum"

  func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] { [TensorType([1])] }

  func launch(_ site: LaunchSite) -> Launch { Launch([]) }

  func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    let values = pullback.inputs.count / 2
    return pullback.inputs.suffix(values) + Array(repeating: nil, count: values)
  }

  func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let pairs = zip(inputs, inputs.suffix(inputs.count / 2))
    return [HostTensor([1], [pairs.reduce(0) { $0 + zip($1.0.data, $1.1.data).map(*).reduce(0, +) }])]
  }

  static let cases: [OpCase] = []
}
