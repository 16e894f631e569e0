import Graph
import Models
import NN

/// Modular training: each teacher module is incubated in its place of the frozen meta model (Deep Incubation,
/// Ni et al. 2022). All pairs of a sweep share one pass through the meta prefix.
package struct MT: Phase {
  package let name = PhaseName.mt
  package let pairs: [Int]
  package init(pairs: [Int]) { self.pairs = pairs }

  package func task(_ recipe: Recipe) -> TrainingTask {
    let settings = recipe.settings(.mt)
    let meta = recipe.meta()
    let modules = pairs.map { recipe.teacherModule($0, dropPath: settings.dropPath) }
    let units = modules.map {
      TrainingTask.Unit($0.layout, isTrained: true, origin: .fresh(as: $0.layout.block))
    }
    return TrainingTask(
      name: "MT", dataStream: "MT", settings: settings, units: [.frozen(meta.layout)] + units, images: recipe.task
    ) { (step, record) throws(ShapeError) in
      var frame = MetaFrame(meta, step)
      for (pair, module) in zip(pairs, modules) {
        let block = module.layout.block
        let taught = try module(frame.prefix(pair), step.pass(block, training: true))
        try record(step.classification(frame.suffix(after: pair, taught), trains: block))
      }
    }
  }
}

/// The frozen meta model as a frame around one module: prefixes are computed once for all pairs.
struct MetaFrame {
  private let meta: VisionTransformer
  private let pass: Forward
  private var prefixes: [Value]

  init(_ meta: VisionTransformer, _ step: StepGraph) {
    self.meta = meta
    pass = step.pass("meta", training: false)
    prefixes = [step.images]
  }

  /// What module `pair` sees: the image, or the tokens after the meta modules before it.
  mutating func prefix(_ pair: Int) throws(ShapeError) -> Value {
    while prefixes.count <= pair {
      prefixes.append(try meta.stages[prefixes.count - 1](prefixes[prefixes.count - 1], pass))
    }
    return prefixes[pair]
  }

  /// Logits that the meta modules after `pair` make of its output.
  func suffix(after pair: Int, _ output: Value) throws(ShapeError) -> Value {
    var x = output
    for stage in meta.stages[(pair + 1)...] { x = try stage(x, pass) }
    return x
  }
}
