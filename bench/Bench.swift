import ArgumentParser
import Distillation
import Foundation
import GPU
import Graph
import NN
import Ops

/// Speed, as ratios measured side by side in one run (docs/performance.md).
@main
struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measures Graft beside other systems.",
    subcommands: [MatmulBench.self, StepBench.self])
}

/// f32 matmul against OpenBLAS, which is loaded if it is installed and is no dependency.
struct MatmulBench: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "matmul", abstract: "f32 matmul against OpenBLAS.")

  @Option(help: "M x N x K, e.g. 1576x3072x768.") var shape = "1576x3072x768"
  @Option(help: "Alternating runs; the best of each side counts.") var runs = 5
  @Option(help: "Name of the OpenBLAS library.") var library = "libopenblas.so.0"

  func run() throws {
    let extents = shape.split(separator: "x").compactMap { Int($0) }
    guard extents.count == 3, extents.allSatisfy({ $0 > 0 }) else {
      throw ValidationError("--shape \(shape): expected MxNxK")
    }
    let (m, n, k) = (extents[0], extents[1], extents[2])
    let blas = try OpenBLAS(library)
    let device = try Device.open()
    print("device: \(device.snapshot.name), driver \(device.snapshot.driverName) \(device.snapshot.driverInfo)")
    print("form  shape           graft GFLOP/s  OpenBLAS GFLOP/s  ratio")
    var random = SystemRandomNumberGenerator()
    func matrix(_ count: Int) -> [Float] { (0..<count).map { _ in Float.random(in: -1...1, using: &random) } }
    let (a, b) = (matrix(m * k), matrix(n * k))
    for form in [Transposition.none, .right, .left] {
      let graph = Graph()
      let left = graph.input("a", form == .left ? [k, m] : [m, k])
      let right = graph.input("b", form == .right ? [n, k] : [k, n])
      // The sum keeps the read-back small; it is a thousandth of the work.
      let product = try left.matmul(right, transposing: form)
      let plan = try Plan(
        PlanLayout(Program(graph, results: [try product.sum()]), traits: device.traits), on: device, blocks: [:],
        profiling: true)
      try plan.run {
        $0.set("a", a[...])
        $0.set("b", b[...])
      }.ticket.wait()
      var best = (graft: Double.infinity, blas: Double.infinity)
      for _ in 0..<runs {
        for _ in 0..<3 {
          try plan.run().ticket.wait()
          let seconds = try plan.opSeconds()?.first { $0.op == Matmul.name }?.seconds ?? .infinity
          best.graft = min(best.graft, seconds)
        }
        for _ in 0..<3 { best.blas = min(best.blas, blas.seconds(form, m, n, k, a, b)) }
      }
      let work = 2e-9 * Double(m * n * k)
      print(
        String(
          format: "%-5@ %-15@ %13.1f  %16.1f  %4.0f %%", form.label as NSString, shape as NSString, work / best.graft,
          work / best.blas, 100 * best.blas / best.graft))
    }
  }
}

extension Transposition {
  fileprivate var label: String {
    switch self {
    case .none: "NN"
    case .right: "NT"
    case .left: "TN"
    }
  }
}

/// cblas_sgemm, looked up at run time.
private struct OpenBLAS {
  typealias SGEMM =
    @convention(c) (
      Int32, Int32, Int32, Int32, Int32, Int32, Float, UnsafePointer<Float>, Int32, UnsafePointer<Float>, Int32, Float,
      UnsafeMutablePointer<Float>, Int32
    ) -> Void
  private let sgemm: SGEMM

  init(_ library: String) throws {
    guard let handle = dlopen(library, RTLD_NOW), let symbol = dlsym(handle, "cblas_sgemm") else {
      throw ValidationError("\(library) cannot be loaded: run tools/setup.sh --bench")
    }
    sgemm = unsafeBitCast(symbol, to: SGEMM.self)
  }

  func seconds(_ form: Transposition, _ m: Int, _ n: Int, _ k: Int, _ a: [Float], _ b: [Float]) -> Double {
    var c = [Float](repeating: 0, count: m * n)
    let begin = ContinuousClock.now
    let (rowMajor, plain, transposed) = (Int32(101), Int32(111), Int32(112))
    sgemm(
      rowMajor, form == .left ? transposed : plain, form == .right ? transposed : plain, Int32(m), Int32(n), Int32(k),
      1, a,
      Int32(form == .left ? m : k), b, Int32(form == .right ? k : n), 0, &c, Int32(n))
    return begin.seconds
  }
}

/// Processor time of this thread, which does not grow while it waits.
private func threadSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return Double(time.tv_sec) + 1e-9 * Double(time.tv_nsec)
}

/// Where the time of a recipe's training steps goes, op by op.
struct StepBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "step", abstract: "Time per op of a recipe's training steps.")

  @Argument(help: "The recipe.") var recipe: String
  @Option(help: "Steps to run; the median counts.") var steps = 8
  @Flag(help: "Tell ops apart by their shapes.") var shapes = false
  @Option(help: "Only this phase, e.g. m2mKD.") var phase: String?
  @Option(parsing: .upToNextOption, help: "Only these teaching pairs.") var pairs: [Int] = []
  @Option(help: "Run steps for this long instead, and print one JSON object per phase.") var seconds: Double?

  func run() throws {
    let recipe = try Recipe(reading: recipe)
    let device = try Device.open()
    if seconds == nil {
      print("device: \(device.snapshot.name), driver \(device.snapshot.driverName) \(device.snapshot.driverInfo)")
    }
    let pairs = self.pairs.isEmpty ? Array(0..<recipe.pairs) : self.pairs
    let phases: [any Phase] = [PT(), MT(pairs: pairs), FT(), M2mKD(pairs: pairs), E2E()]
    for phase in phases where self.phase == nil || self.phase == phase.name.rawValue {
      let task = phase.task(recipe)
      let layout = PlanLayout(try StepProgram(task, recipe: recipe).program, traits: device.traits)
      var blocks: [String: Buffer] = [:]
      for unit in task.units {
        let layout = unit.model.layout
        let values = layout.initialValues(seed: 0, stream: layout.block)
        let state = try ModuleState(layout, values: values, isTrained: unit.isTrained, device: device)
        blocks.merge(state.blocks) { a, _ in a }
      }
      let plain = try Plan(layout, on: device, blocks: blocks)
      let state = StepState(step: 1, learningRate: 1e-3, seed: 0)
        .words(beta1: recipe.optimizer.beta1, beta2: recipe.optimizer.beta2)
      let image = recipe.task
      let noise = (0..<task.settings.batch * image.channels * image.size * image.size).map { _ in
        UInt8.random(in: 0...255)
      }
      // Noise for images, so that tokens differ and are routed to all experts.
      func feed(_ feed: Plan.Feed) {
        feed.set(StepState.inputName, state[...])
        for micro in 0..<task.settings.accumulate {
          feed[StepProgram.images(micro)]?.copyBytes(from: noise)
        }
      }
      try plain.run(feeding: feed).ticket.wait()
      var times: [Double] = []
      var host = 0.0
      let start = ContinuousClock.now
      while times.count < steps || start.seconds < seconds ?? 0 {
        let begin = ContinuousClock.now
        let before = threadSeconds()
        let run = try plain.run(feeding: feed)
        let submitted = threadSeconds()
        try run.ticket.wait()
        let waited = threadSeconds()
        for i in 0..<layout.program.results.count { _ = try run.floats(i) }
        host += threadSeconds() - before
        if ProcessInfo.processInfo.environment["HOST"] != nil {
          print("submit", 1e6 * (submitted - before), "wait", 1e6 * (waited - submitted), "read", 1e6 * (threadSeconds() - waited))
        }
        times.append(begin.seconds)
      }
      let median = times.sorted()[times.count / 2]
      if seconds != nil {
        print(
          String(
            format:
              "{\"task\": \"%@\", \"median_ms\": %.3f, \"min_ms\": %.3f, \"steps\": %d, \"dispatches\": %d, \"gflop\": %.3f, \"host_ms\": %.3f}",
            task.name as NSString, 1e3 * median, 1e3 * (times.min() ?? 0), times.count, plain.dispatchCount,
            1e-9 * Double(layout.cost.flops), 1e3 * host / Double(times.count)))
        continue
      }
      let profiled = try Plan(layout, on: device, blocks: blocks, profiling: true)
      try profiled.run(feeding: feed).ticket.wait()
      try profiled.run(feeding: feed).ticket.wait()
      var byOp: [String: (count: Int, seconds: Double, flops: Int)] = [:]
      let types = layout.program.types
      for ((op, seconds), node) in zip(try profiled.opSeconds() ?? [], layout.program.nodes) {
        let cost = node.op.cost(node.inputs.map { types[$0] }, node.outputs.map { types[$0] })
        let name = shapes ? "\(op) \(node.inputs.prefix(2).map { types[$0].description }.joined(separator: " "))" : op
        let known = byOp[name] ?? (0, 0, 0)
        byOp[name] = (known.count + 1, known.seconds + seconds, known.flops + cost.flops)
      }
      let total = byOp.values.reduce(0) { $0 + $1.seconds }
      print(
        String(
          format: "%@: %.1f ms a step (best %.1f), %d dispatches, %d barriers, %.2f GFLOP, %.1f GFLOP/s",
          task.name as NSString, 1e3 * median, 1e3 * (times.min() ?? 0), plain.dispatchCount, plain.barrierCount,
          1e-9 * Double(layout.cost.flops), 1e-9 * Double(layout.cost.flops) / median))
      for (op, row) in byOp.sorted(by: { $0.value.seconds > $1.value.seconds }).prefix(shapes ? 40 : 16) {
        print(
          String(
            format: "  %-50@ %4d  %8.2f ms  %4.1f %%  %6.1f GFLOP/s", op as NSString, row.count, 1e3 * row.seconds,
            100 * row.seconds / total, 1e-9 * Double(row.flops) / row.seconds))
      }
    }
  }
}
