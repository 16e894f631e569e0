import Models
import NN

/// The models a recipe describes. A model's block name is also the name of its checkpoint.
extension Recipe {
  /// Drop-path rate of block `index` of `depth`: linear from 0 to `rate` (timm).
  static func dropPath(_ index: Int, of depth: Int, rate: Double) -> Double {
    depth > 1 ? rate * Double(index) / Double(depth - 1) : 0
  }

  private func dense(_ depths: [Int], rate: Double) -> [[BlockOptions]] {
    var index = 0
    return depths.map { depth in
      (0..<depth).map { _ in
        defer { index += 1 }
        return BlockOptions(dropPath: Recipe.dropPath(index, of: depths.reduce(0, +), rate: rate))
      }
    }
  }

  /// The meta model: few blocks per module, trained first, then the frame that every module is taught in.
  package func meta(dropPath rate: Double = 0) -> VisionTransformer {
    VisionTransformer(block: "meta", task: task, width: width, stages: dense(metaDepths, rate: rate))
  }

  package func teacher(dropPath rate: Double = 0) -> VisionTransformer {
    VisionTransformer(block: "teacher", task: task, width: width, stages: dense(teacherDepths, rate: rate))
  }

  /// The whole model that a checkpoint of this name holds; nil if it holds a module.
  package func classifier(_ block: String) -> Classifier? {
    switch block {
    case "meta": meta().classifier
    case "teacher": teacher().classifier
    case "student", "scratch", "long", "alone": student.whole(block: block, dropPath: 0).model
    case FS.block:
      fewShot.map { student.whole(block: block, dropPath: 0, classes: $0.ways, head: nil).model }
    default: nil
    }
  }

  /// Which of the recipe's data sets the whole model of this name reads.
  func source(of block: String) -> TrainingTask.Source {
    switch block {
    case "meta", "teacher": .taught
    case FS.block where fewShot != nil: .fewShot
    default: .target
    }
  }

  /// The images that the whole model of this name reads.
  package func images(of block: String) -> ImageTask {
    let source = source(of: block)
    guard source != .taught else { return task }
    var task = target.task
    if source == .fewShot, let fewShot { task.classes = fewShot.ways }
    return task
  }

  /// All phases, with these pairs in those that have pairs.
  package func allPhases(pairs: [Int]) -> [any Phase] {
    [PT(), MT(pairs: pairs), FT(), M2mKD(pairs: pairs), E2E()] + (fewShot == nil ? [] : [FS()])
  }

  /// Teacher module `pair` alone, as it is incubated inside the meta model: the rates are those of the hybrid whose other
  /// modules are the meta model's.
  package func teacherModule(_ pair: Int, dropPath rate: Double = 0) -> VisionTransformer {
    var hybrid = metaDepths
    hybrid[pair] = teacherDepths[pair]
    return VisionTransformer(
      block: "teacher.\(pair)", task: task, width: width, stages: [dense(hybrid, rate: rate)[pair]],
      hasFirst: pair == 0, hasLast: pair == pairs - 1)
  }
}
