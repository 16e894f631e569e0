import Distillation
import Foundation
import GPU
import Graph
import Images
import Models
import NN
import TestSupport
import Testing

/// What can be said of a training step without a device.
@Suite struct StepProgramTests {
  static let tasks: [any Phase] = [
    PT(), MT(pairs: [0, 1, 2]), FT(), M2mKD(pairs: [0, 1, 2]), E2E(), M2mKD(pairs: [0], block: "alone", alpha: 0),
  ]

  private func layout(_ phase: any Phase, _ tiny: TinyRecipe = TinyRecipe()) throws -> PlanLayout {
    let recipe = try tiny.recipe()
    return PlanLayout(try StepProgram(phase.task(recipe), recipe: recipe).program, traits: DeviceTraits())
  }

  /// Blocks that a program changes: the trained ones and their optimiser state, nothing else.
  @Test(arguments: tasks) func onlyWhatIsTrainedChanges(_ phase: any Phase) throws {
    let recipe = try TinyRecipe(accumulate: 2, clip: "1.0").recipe()
    let task = phase.task(recipe)
    let program = try StepProgram(task, recipe: recipe).program
    var changed: Set<String> = []
    for node in program.nodes {
      for input in node.op.mutates {
        guard case .block(let name, _) = program.sources[node.inputs[input]] else {
          Issue.record("\(node.op.name) changes what is not persistent")
          continue
        }
        changed.insert(name)
      }
    }
    #expect(changed == Set(task.trained.flatMap { ["", ".m", ".v", ".status"].map(($0.block).appending) }))
    #expect(!task.trained.isEmpty)
  }

  /// A sweep of three computes the first meta module once and not twice, the second once: everything else is per pair.
  @Test(arguments: [true, false]) func sweepSharesTheMetaPrefix(distills: Bool) throws {
    func phase(_ pairs: [Int]) -> any Phase { distills ? M2mKD(pairs: pairs) : MT(pairs: pairs) }
    func count(_ layout: PlanLayout) -> (dispatches: Int, attentions: Int) {
      (layout.dispatchCount, layout.program.nodes.count { $0.op.name == "attention" })
    }
    let sweep = count(try layout(phase([0, 1, 2])))
    let alone = try (0..<3).map { count(try layout(phase([$0]))) }
    #expect(sweep.dispatches < alone.reduce(0) { $0 + $1.dispatches })
    // Pairs 1 and 2 both need meta module 0; with one block in each, one attention is saved.
    #expect(alone.reduce(0) { $0 + $1.attentions } - sweep.attentions == 1)
  }

  @Test func fusionKeepsResultsAndRemovesOps() throws {
    let recipe = try TinyRecipe().recipe()
    let step = try StepProgram(E2E().task(recipe), recipe: recipe)
    #expect(step.program.results == step.unfused.results)
    #expect(step.program.results.count == StepProgram.resultsPerObjective)
    #expect(step.program.nodes.count < step.unfused.nodes.count)
    #expect(Set(step.program.nodes.flatMap(\.outputs)).isSubset(of: step.unfused.nodes.flatMap(\.outputs)))
  }

  /// Liveness, found here by reading the program: no two values or scratch tensors that are needed at the same step
  /// share a byte.
  @Test(arguments: tasks) func placesOfLiveValuesAreApart(_ phase: any Phase) throws {
    let layout = try layout(phase, TinyRecipe(accumulate: 2, clip: "1.0"))
    let program = layout.program
    var spans: [(range: Range<Int>, first: Int, last: Int)] = []
    for value in program.types.indices {
      guard case .arena(let offset) = layout.places[value] else { continue }
      let first = try #require(program.nodes.firstIndex { $0.outputs.contains(value) })
      let last = program.nodes.lastIndex { $0.inputs.contains(value) } ?? first
      spans.append(
        (offset..<offset + program.types[value].bytes, first, program.results.contains(value) ? .max : last))
    }
    for (step, launch) in layout.launches.enumerated() {
      for (type, offset) in zip(launch.scratch, layout.scratch[step]) {
        spans.append((offset..<offset + type.bytes, step, step))
      }
    }
    spans.sort { $0.range.lowerBound < $1.range.lowerBound }
    var shared = 0
    for (i, a) in spans.enumerated() {
      #expect(a.range.upperBound <= layout.arenaBytes)
      for b in spans[(i + 1)...] {
        guard b.range.lowerBound < a.range.upperBound else { break }
        shared += 1
        #expect(a.first > b.last || b.first > a.last, "\(a) and \(b)")
      }
    }
    #expect(spans.count > 100 && shared > 100)
  }

  /// Micro-batches reuse each other's memory: only the gradients that are added up come on top.
  @Test func accumulationNeedsLittleMoreMemory() throws {
    let parts = [1, 2, 8].map { TinyRecipe(features: 64, batch: 64, accumulate: $0) }
    let bytes = try parts.map { try layout(PT(), $0).arenaBytes }
    #expect(Double(bytes[1]) < 1.5 * Double(bytes[0]) && Double(bytes[2]) < 1.1 * Double(bytes[1]), "\(bytes)")
  }

  /// What `graft plan` says of many micro-batches is what the whole step would be.
  @Test func accumulationIsReckoned() throws {
    let recipe = try TinyRecipe(accumulate: 5, clip: "1", circuit: "kind: hinge").recipe()
    let report = try PlanReport(recipe, traits: DeviceTraits(), rate: nil)
    for (task, phase) in zip(
      report.tasks, [PT(), MT(pairs: [0, 1, 2]), FT(), M2mKD(pairs: [0, 1, 2]), E2E()] as [any Phase])
    {
      let program = try StepProgram(phase.task(recipe), recipe: recipe).program
      let layout = PlanLayout(program, traits: DeviceTraits(), frozen: phase.task(recipe).frozen)
      #expect(task.flops == layout.cost.flops && task.dispatches == layout.dispatchCount, "\(task)")
      #expect(Double(layout.bytes) < 1.15 * Double(task.arenaBytes), "\(task.name)")
    }
  }

  /// The paper's circuits have the sizes of the published code.
  @Test func paperCircuitsHaveThePaperSizes() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    for (name, modules, whole) in [
      ("nac-planted-tiny-imagenet", [4.09, 3.50, 3.39], 26.7), ("nac-scale-free-imagenet", [5.90, 4.73, 4.58], 37.6),
    ] {
      let recipe = try Recipe(reading: root.appendingPathComponent("recipes/\(name).yml").path)
      let settings = recipe.settings(.m2mKD)
      for (pair, size) in zip([0, 1, 9], modules) {
        let elements = recipe.student.module(pair, block: "student", settings: settings).layout.elements
        #expect(abs(Double(elements) * 1e-6 - size) < 0.01, "\(name) \(pair): \(elements)")
      }
      let elements = recipe.student.whole(block: "student", dropPath: 0).model.layout.elements
      #expect(abs(Double(elements) * 1e-6 - whole) < 0.06, "\(name): \(elements)")
    }
  }

  /// The paper's own models. 304,326,632 is what ViT-L/16 with 1000 classes is known to have.
  @Test func paperRecipeHasThePaperSizes() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let path = root.deletingLastPathComponent().appendingPathComponent("recipes/vmoe-base-imagenet.yml").path
    let recipe = try Recipe(reading: path)
    #expect(recipe.teacher().layout.elements == 304_326_632)
    let modules = (0..<4).map { recipe.teacherModule($0).layout.elements }
    #expect(modules.reduce(0, +) == 304_326_632)
    let student = recipe.student.whole(block: "student", dropPath: 0).model.layout.elements
    let stitched = (0..<4).map {
      recipe.student.module($0, block: "student", settings: recipe.settings(.m2mKD)).layout.elements
    }.reduce(0, +)
    // Each of the six stitches: norm of its input, and a matrix with bias between 1024 and 768.
    #expect(stitched - student == 3 * (2 * 1024 + 1024 * 768 + 768) + 3 * (2 * 768 + 768 * 1024 + 1024))
    let layout = PlanLayout(try StepProgram(PT().task(recipe), recipe: recipe).program, traits: DeviceTraits())
    #expect(layout.arenaBytes > 8 << 30 && layout.arenaBytes < 16 << 30, "\(layout.arenaBytes)")
  }

  /// Dispatches and bytes of the demo recipe. A change is not an error, but it must show.
  @Test func sizesAreAsRecorded() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let file = root.appendingPathComponent("Fixtures/sizes.txt")
    let recipe = try Recipe(
      reading: root.deletingLastPathComponent().appendingPathComponent("recipes/fashion-vmoe.yml").path)
    var lines = [
      "# recipes/fashion-vmoe.yml on default device traits: ops, dispatches, barriers, arena bytes, input bytes, trained parameters"
    ]
    for phase in [PT(), MT(pairs: [0, 1, 2]), FT(), M2mKD(pairs: [0, 1, 2]), E2E()] as [any Phase] {
      let task = phase.task(recipe)
      let layout = PlanLayout(
        try StepProgram(task, recipe: recipe).program, traits: DeviceTraits(), frozen: task.frozen)
      let numbers = [
        layout.program.nodes.count, layout.dispatchCount, barriers(layout), layout.arenaBytes, layout.feedBytes,
        task.trained.reduce(0) { $0 + $1.layout.elements },
      ]
      lines.append("\(task.name) " + numbers.map(String.init).joined(separator: " "))
    }
    let text = lines.joined(separator: "\n") + "\n"
    if ProcessInfo.processInfo.environment["GRAFT_UPDATE_SNAPSHOTS"] == "1" {
      try Data(text.utf8).write(to: file)
    }
    let recorded = try String(contentsOf: file, encoding: .utf8)
    for (old, new) in zip(recorded.split(separator: "\n"), lines) {
      #expect(
        old == new,
        "was \(old), is \(new); if that is meant, run the test with GRAFT_UPDATE_SNAPSHOTS=1 and commit sizes.txt")
    }
    #expect(recorded.split(separator: "\n").count == lines.count)
  }
}

/// Barriers that a recording of the layout takes, found without one.
private func barriers(_ layout: PlanLayout) -> Int {
  var tracker = HazardTracker()
  var blocks: [String: UInt64] = [:]
  var count = 0
  for (step, launch) in layout.launches.enumerated() {
    let node = layout.program.nodes[step]
    func touched(_ operand: Operand) -> (buffer: UInt64, range: Range<Int>)? {
      func value(_ id: Int) -> (UInt64, Range<Int>)? {
        let bytes = layout.program.types[id].bytes
        switch layout.places[id] {
        case .arena(let offset): return (1, offset..<offset + bytes)
        case .feed(let offset): return (2, offset..<offset + bytes)
        case .constants(let offset): return (3, offset..<offset + bytes)
        case .block(let name, let offset):
          let number = blocks[name] ?? UInt64(4 + blocks.count)
          blocks[name] = number
          return (number, offset..<offset + bytes)
        case nil: return nil
        }
      }
      switch operand.place {
      case .input(let i): return value(node.inputs[i])
      case .output(let i): return value(node.outputs[i])
      case .scratch(let i):
        let offset = layout.scratch[step][i]
        return (1, offset..<offset + launch.scratch[i].bytes)
      case .colocated:
        guard let offset = layout.colocated[step], let bytes = node.op.colocated?.bytes else { return nil }
        return (1, offset..<offset + bytes)
      case .unused: return nil
      }
    }
    for dispatch in launch.dispatches.dropFirst(layout.prepared[step]) {
      let touches = zip(dispatch.operands, dispatch.source.bindings).compactMap { operand, binding in
        touched(operand).map { place in
          let part = operand.bytes ?? 0..<place.range.count
          let range = place.range.lowerBound + part.lowerBound..<place.range.lowerBound + part.upperBound
          return HazardTracker.Touch(buffer: place.buffer, range: range, writes: binding.access.writes)
        }
      }
      if tracker.needsBarrier(before: touches) { count += 1 }
    }
  }
  return count
}

extension OnDevice {
  @Suite struct FusionTests {
    /// One training step of a mixture-of-experts student, op by op and fused.
    @Test func fusedStepIsTheUnfusedStep() throws {
      let recipe = try TinyRecipe(eps: "1.0e-3", dropPath: "0.3", clip: "0.5").recipe()
      let task = E2E(start: .scratch).task(recipe)
      let step = try StepProgram(task, recipe: recipe)
      let model = task.units[0]
      let device = try TestDevice.shared.get()
      let batch = try tinyImages.batch(Array(0..<8))
      func run(_ program: Program) throws -> (results: [Float], values: [Float]) {
        let state = try ModuleState(
          model.layout, values: model.layout.initialValues(seed: 3, stream: "student"), isTrained: true, device: device)
        let layout = PlanLayout(program, traits: device.traits)
        let plan = try Plan(layout, on: device, blocks: state.blocks)
        #expect(plan.dispatchCount == layout.dispatchCount && plan.barrierCount == barriers(layout))
        let run = try plan.run { feed in
          feed.set(StepProgram.images(0), batch.images[...])
          feed.set(StepProgram.labels(0), batch.labels[...])
          feed.set(
            StepState.inputName, StepState(step: 1, learningRate: 0.01, seed: 3).words(beta1: 0.9, beta2: 0.999)[...])
        }
        let results = try program.results.indices.map { try run.floats($0)[0] }
        return (results, try state.contents(device: device))
      }
      let (fused, unfused) = (try run(step.program), try run(step.unfused))
      #expect(fused.results.count == unfused.results.count && fused.results[0] > 0.5 && fused.results[3] > 0)
      for (a, b) in zip(fused.results, unfused.results) { #expect(abs(a - b) < 1e-5 * max(1, abs(b)), "\(a) and \(b)") }
      #expect(zip(fused.values, unfused.values).allSatisfy { abs($0 - $1) < 1e-4 })
      let start = model.layout.initialValues(seed: 3, stream: "student")
      #expect(zip(fused.values, start).contains { abs($0 - $1) > 1e-3 })
    }
  }
}
