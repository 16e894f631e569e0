import Foundation
import GPU
import Models
import NN
import Ops

/// Every number of a run, read from YAML.
package struct Recipe: Sendable {
  package let name: String
  /// The recipe as it was understood, defaults included.
  package let yaml: String

  package let data: DataSettings
  package let task: ImageTask
  /// Width of meta model and teacher: their modules stand in for each other, so it is one.
  package let width: TransformerWidth
  package let metaDepths: [Int]
  package let teacherDepths: [Int]
  package let student: any Student
  /// What the whole student is trained and evaluated on; the teaching data unless the recipe says otherwise.
  package let target: (data: DataSettings, task: ImageTask)
  /// Whether it does.
  package let hasTarget: Bool
  package let optimizer: OptimizerSettings
  package let labelSmoothing: Double
  package let precision: Precision
  package let phases: [PhaseName: PhaseSettings]
  package let distillation: DistillationSettings
  package let controls: ControlSettings
  package let evaluation: EvaluationSettings
  /// nil without few-shot adaptation.
  package let fewShot: FewShotSettings?
  package let checkpointEvery: Int

  /// Modules a model is divided into, and so teaching pairs.
  package var pairs: Int { metaDepths.count }
}

package enum PhaseName: String, Sendable, CaseIterable {
  case pt = "PT"
  case mt = "MT"
  case ft = "FT"
  case m2mKD
  case e2e = "E2E"
  /// Only where the recipe has few-shot data.
  case fs = "FS"
}

package struct OptimizerSettings: Sendable {
  package let beta1: Double
  package let beta2: Double
  package let eps: Double
  package let weightDecay: Double
}

package struct DistillationSettings: Sendable {
  package let kind: DistillationLoss.Kind
  package let alpha: Double
  package let tau: Double
}

package struct ControlSettings: Sendable {
  /// Learning rate of the student from scratch with the steps of E2E.
  package let scratchRate: Double
  /// Learning rate of the student from scratch with all student steps.
  package let longRate: Double
}

package struct PhaseSettings: Sendable {
  package let batch: Int
  /// Micro-batches per optimiser step.
  package internal(set) var accumulate: Int
  package let steps: Int
  /// Steps per unit of the schedule: 1 where the recipe counts steps, those of an epoch where it counts epochs.
  package let stepsPerUnit: Int
  package let schedule: LearningRate
  /// Largest global gradient norm, nil for no clipping.
  package let clip: Double?
  package let dropPath: Double
  /// Replaces the optimiser's; nil takes that.
  package let weightDecay: Double?
  /// Whether vectors, biases and latents decay too.
  package let decaysAll: Bool
  /// Of Nesterov's method, which then takes AdamW's place.
  package let momentum: Double?

  package func learningRate(step: Int) -> Double { schedule((step - 1) / stepsPerUnit) }

  package func with(steps: Int, rate: Double) -> PhaseSettings {
    PhaseSettings(
      batch: batch, accumulate: accumulate, steps: steps, stepsPerUnit: 1,
      schedule: LearningRate(
        base: rate, warmupFrom: schedule.warmupFrom, minimum: schedule.minimum,
        warmup: min(steps, schedule.warmup * stepsPerUnit), total: steps),
      clip: clip, dropPath: dropPath, weightDecay: weightDecay, decaysAll: decaysAll,
      momentum: momentum)
  }
}

extension Recipe {
  package init(reading path: String) throws(RecipeError) {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
      throw RecipeError(path, "cannot be read: no such file, or not text")
    }
    try self.init(file: path, text: text)
  }

  package init(file: String, text: String) throws(RecipeError) {
    let reader = try RecipeReader(file: file, text: text)
    name = try reader.string("name")
    guard let first = name.first, first != ".", name.allSatisfy({ $0.isLetter || $0.isNumber || "-_.".contains($0) })
    else {
      throw reader.error("name", "'\(name)' names a folder: letters, digits, '-', '_' and '.' only, not '.' first")
    }
    let data = try reader.section("data", DataSettings.init)
    self.data = data
    let task = try reader.section("image") { (image) throws(RecipeError) in try ImageTask(image, of: data.kind) }
    self.task = task
    var target = (data: data, task: task)
    hasTarget = reader.has("target")
    if hasTarget {
      target = try reader.section("target") { (reader) throws(RecipeError) in
        let data = try reader.section("data", DataSettings.init)
        return (
          data, try reader.section("image") { (image) throws(RecipeError) in try ImageTask(image, of: data.kind) }
        )
      }
    }
    self.target = target
    let deviation = try reader.section("initialization") { (s) throws(RecipeError) in
      (linear: try s.double("linear_std", 0.02), experts: try s.choice("experts", ExpertFanIn.fastmoe))
    }
    let metaDepths = try reader.section("meta") { (meta) throws(RecipeError) in try meta.depths("depths") }
    self.metaDepths = metaDepths
    (width, teacherDepths) = try reader.section("teacher") { (teacher) throws(RecipeError) in
      (try TransformerWidth(teacher, deviation.linear), try teacher.depths("depths", modules: metaDepths.count))
    }
    let features = width.features
    student = try reader.section("student") { (s) throws(RecipeError) -> any Student in
      switch try s.choice("kind", StudentKind.experts) {
      case .experts:
        guard target.task == task else {
          throw s.error("kind", "only a circuit can be trained end to end on other images than its modules")
        }
        return try VisionMoE(
          s, images: task, modules: metaDepths.count, stitch: features, linear: deviation.linear,
          experts: deviation.experts)
      case .circuit:
        return try AttentiveCircuit(
          s, modules: metaDepths.count, stitch: features, taught: task, target: target.task)
      }
    }
    optimizer = try reader.section("optimizer") { (o) throws(RecipeError) in
      OptimizerSettings(
        beta1: try o.double("beta1", 0.9, in: 0...1), beta2: try o.double("beta2", 0.999, in: 0...1),
        eps: try o.double("eps", 1e-8), weightDecay: try o.double("weight_decay", 0.05))
    }
    labelSmoothing = try reader.double("label_smoothing", 0.1, in: 0...1)
    // No default: it would stand in the resolved recipe, which those of earlier runs are compared with.
    precision = reader.has("precision") ? try reader.choice("precision") : .f32
    var few: FewShotSettings?
    if reader.has("few_shot") { few = try reader.section("few_shot", FewShotSettings.init) }
    fewShot = few
    var distillation: DistillationSettings?
    phases = try reader.section("phases") { (section) throws(RecipeError) in
      var phases: [PhaseName: PhaseSettings] = [:]
      for name in PhaseName.allCases where name != .fs || few != nil {
        phases[name] = try section.section(name.rawValue) { (phase) throws(RecipeError) in
          if name == .m2mKD {
            distillation = DistillationSettings(
              kind: try phase.choice("distillation", DistillationName.soft).kind,
              alpha: try phase.double("alpha", 0.5, in: 0...1),
              tau: try phase.double("temperature", 1, in: 1e-3...1e3))
          }
          if name == .fs, let few { return try PhaseSettings(phase, trainingImages: few.ways * few.shots) }
          let data = name == .e2e ? target.data : data
          let isStudent = name == .m2mKD || name == .e2e
          return try PhaseSettings(
            phase, trainingImages: (isStudent ? data.studentImages : nil) ?? data.trainingImages)
        }
      }
      return phases
    }
    guard let distillation else { throw reader.error("phases", "m2mKD is missing") }
    self.distillation = distillation
    let endToEnd = phases[.e2e]?.schedule.base
    controls = try reader.section("controls") { (c) throws(RecipeError) in
      ControlSettings(
        scratchRate: try c.double("scratch_learning_rate", endToEnd),
        longRate: try c.double("long_learning_rate", endToEnd))
    }
    evaluation = try reader.section("evaluation", EvaluationSettings.init)
    checkpointEvery = try reader.int("checkpoint_every", 50, in: 1...1_000_000)
    try reader.finish()
    yaml = reader.yaml
  }
}

extension RecipeReader {
  /// - Parameter modules: how many there are to be; nil leaves it open.
  func depths(_ key: String, modules: Int? = nil) throws(RecipeError) -> [Int] {
    let depths = try ints(key)
    guard !depths.isEmpty, depths.allSatisfy({ $0 > 0 }) else {
      throw error(key, "needs one positive number of blocks per module, found \(depths)")
    }
    guard depths.count == modules ?? depths.count else {
      throw error(key, "\(depths.count) modules, but the meta model has \(modules ?? 0)")
    }
    return depths
  }
}

extension TransformerWidth {
  fileprivate init(_ reader: RecipeReader, _ deviation: Double) throws(RecipeError) {
    let features = try reader.int("features", in: 1...65_536)
    let heads = try reader.int("heads", in: 1...1024)
    guard features % heads == 0 else {
      throw reader.error("heads", "\(heads) heads do not divide \(features) features")
    }
    self.init(
      features: features, heads: heads, mlpRatio: try reader.int("mlp_ratio", 4, in: 1...64),
      qkvBias: try reader.bool("qkv_bias", true), eps: try reader.double("eps", 1e-6), linear: .normal(deviation))
  }
}

extension PhaseSettings {
  fileprivate init(_ reader: RecipeReader, trainingImages: Int) throws(RecipeError) {
    batch = try reader.int("batch", in: 1...65_536)
    accumulate = try reader.int("accumulate", 1, in: 1...1024)
    let effective = batch * accumulate
    guard effective <= trainingImages else {
      throw reader.error("batch", "\(effective) images a step, but there are only \(trainingImages) to train on")
    }
    guard reader.has("steps") != reader.has("epochs") else {
      throw reader.error("steps", "give either steps or epochs")
    }
    let units: Int
    if reader.has("steps") {
      units = try reader.int("steps")
      stepsPerUnit = 1
    } else {
      units = try reader.int("epochs")
      stepsPerUnit = trainingImages / effective
    }
    steps = units * stepsPerUnit
    let rate = try reader.double("learning_rate")
    let scaled = try reader.bool("scale_learning_rate", false)
    schedule = LearningRate(
      base: scaled ? LearningRate.scaled(rate, effectiveBatch: effective) : rate,
      warmupFrom: try reader.double("warmup_from", 1e-6), minimum: try reader.double("minimum_rate", 1e-5),
      warmup: try reader.int("warmup", 0), total: units)
    clip = try reader.optionalDouble("clip", in: 1e-12...1e12)
    dropPath = try reader.double("drop_path", 0, in: 0...0.99)
    weightDecay = try reader.optionalDouble("weight_decay", in: 0...1e3)
    decaysAll = try reader.bool("decay_all", false)
    momentum = try reader.optionalDouble("momentum", in: 0...0.9999)
    guard momentum == nil || clip == nil else { throw reader.error("clip", "gradients are not clipped with momentum") }
  }
}

/// What a student is made of, as recipes name it.
private enum StudentKind: String, CaseIterable {
  case experts, circuit
}

extension VisionMoE {
  fileprivate init(
    _ reader: RecipeReader, images: ImageTask, modules: Int, stitch: Int, linear: Double, experts fanIn: ExpertFanIn
  ) throws(RecipeError) {
    self.images = images
    self.stitch = stitch
    width = try TransformerWidth(reader, linear)
    let count = try reader.int("experts", in: 1...4096)
    experts = .init(
      count: count, perToken: try reader.int("experts_per_token", 2, in: 1...min(8, count)), fanIn: fanIn)
    depths = try reader.depths("depths", modules: modules)
    keepsStitches = try reader.bool("keep_stitches", false)
  }
}

extension ImageTask {
  fileprivate init(_ image: RecipeReader, of kind: DataSettings.Kind) throws(RecipeError) {
    let size = try image.int("size", in: 1...4096)
    let patch = try image.int("patch", in: 1...size)
    guard size % patch == 0 else { throw image.error("patch", "\(patch) does not divide the image size \(size)") }
    let channels = try image.int("channels", in: 1...4)
    let mean = try image.doubles("mean")
    let std = try image.doubles("std")
    guard mean.count == channels else { throw image.error("mean", "\(mean.count) values for \(channels) channels") }
    guard std.count == channels, std.allSatisfy({ $0 > 0 }) else {
      throw image.error("std", "needs \(channels) positive values")
    }
    let classes = try image.int("classes", in: 2...1_000_000)
    if let misfit = kind.misfit(size: size, channels: channels, classes: classes) {
      throw image.error("size", misfit)
    }
    self.init(
      size: size, channels: channels, patch: patch, classes: classes,
      normalization: .init(mean: mean.map { Float($0) }, std: std.map { Float($0) }))
  }
}

/// The forms of the teacher's term, as recipes name them.
private enum DistillationName: String, CaseIterable {
  case soft, hard

  var kind: DistillationLoss.Kind { self == .soft ? .soft : .hard }
}

extension ExpertFanIn: CaseIterable {
  package static let allCases: [ExpertFanIn] = [.fastmoe, .linear]
}
