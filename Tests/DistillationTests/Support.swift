import Distillation
import Foundation
import GPU
import Graph
import Images
import Storage
import Synchronization
import TestSupport
import Testing

/// Everything on a device runs one after the other, so that timings and messages belong to one test.
@Suite(.serialized, .enabled(if: TestDevice.isPresent, TestDevice.absence))
struct OnDevice {}

/// A recipe so small that a phase takes milliseconds: images of 8 x 8 in four patches, meta model and teacher 16 wide,
/// student 32 wide with three experts.
struct TinyRecipe {
  var meta = [1, 1, 1]
  var teacher = [2, 1, 1]
  var features = 16
  var student = [1, 1, 1]
  var experts = 3
  var keepsStitches = true
  var steps = 3
  var batch = 8
  var accumulate = 1
  var rate = "1.0e-2"
  var eps = "1.0e-8"
  var dropPath = "0"
  var clip: String?
  var distillation = "soft"
  var checkpointEvery = 50
  /// The student is a circuit with this regulariser, if any.
  var circuit: String?
  var studentImages: Int?
  var augmentation: String?
  /// Few-shot adaptation by these settings of its phase.
  var fewShot: String?

  /// Its data set is one that the library cannot read, because tests bring their own images.
  var yaml: String {
    let phase = [
      "steps: \(steps)", "batch: \(batch)", "accumulate: \(accumulate)", "learning_rate: \(rate)", "warmup: 1",
      "drop_path: \(dropPath)", clip.map { "clip: \($0)" },
    ].compactMap(\.self).joined(separator: ", ")
    return """
      name: tiny
      data: {set: imagenet, directory: nowhere, validation: 0\(dataYAML)}
      image: {size: 8, channels: 1, patch: 4, classes: 4, mean: [0.5], std: [0.25]}
      initialization: {linear_std: 0.1, experts: linear}
      meta: {depths: \(meta)}
      teacher: {features: \(features), heads: 2, mlp_ratio: 2, depths: \(teacher)}
      student: {\(studentYAML)}
      optimizer: {eps: \(eps)}
      checkpoint_every: \(checkpointEvery)
      phases:
        PT: {\(phase)}
        MT: {\(phase)}
        FT: {\(phase)}
        m2mKD: {\(phase), distillation: \(distillation)}
        E2E: {\(phase)}
      \(fewShotYAML)
      """
  }

  private var dataYAML: String {
    (studentImages.map { ", student_images: \($0)" } ?? "") + (augmentation.map { ", augmentation: {\($0)}" } ?? "")
  }

  private var fewShotYAML: String {
    guard let fewShot else { return "" }
    return
      "  FS: {steps: \(steps), \(fewShot)}\nfew_shot: {data: {set: mnist, directory: x, validation: 0}, ways: 3, shots: 2}"
  }

  private var studentYAML: String {
    guard let circuit else {
      return
        "features: 32, heads: 2, mlp_ratio: 1, depths: \(student), experts: \(experts), keep_stitches: \(keepsStitches)"
    }
    return "kind: circuit, state: 16, code: 12, heads: 2, head_features: 8, capacity: 1, grid_features: 4, inputs: 4, "
      + "mediators: 6, outputs: 3, signature: 8, prior: {graph: ring-of-cliques, cliques: 3, size: 2, steps: 20}, "
      + "regularizer: {\(circuit)}"
  }

  func recipe() throws -> Recipe { try Recipe(file: "tiny.yml", text: yaml) }
}

/// 96 images whose class is the quadrant with the bright square, with noise.
let tinyImages: ImageDataset = {
  var pixels: [UInt8] = []
  var labels: [UInt8] = []
  var noise: UInt32 = 1
  for sample in 0..<96 {
    let label = sample % 4
    labels.append(UInt8(label))
    for y in 0..<8 {
      for x in 0..<8 {
        noise = noise &* 1_664_525 &+ 1_013_904_223
        pixels.append(UInt8((y / 4 == label / 2 && x / 4 == label % 2 ? 120 : 0) + Int(noise >> 25)))
      }
    }
  }
  do {
    return try ImageDataset(
      name: "quadrants", channels: 1, height: 8, width: 8, classes: 4, pixels: pixels, labels: labels)
  } catch {
    fatalError("\(error)")
  }
}()

/// A run in a directory that is removed with it.
final class TinyRun {
  let recipe: Recipe
  let directory: RunDirectory
  private let temporary: TemporaryDirectory
  let device: Device
  let choices: Choices
  private let images: ImageDataset
  let log = RunLog()

  /// - Parameter models: checkpoints to begin with, by block.
  init(
    _ tiny: TinyRecipe, models: [String: Data] = [:], device: Device? = nil, choices: Choices = .defaults,
    images: ImageDataset = tinyImages
  ) throws {
    recipe = try tiny.recipe()
    self.choices = choices
    self.images = images
    self.device = try device ?? TestDevice.shared.get()
    temporary = try TemporaryDirectory()
    directory = try RunDirectory(temporary.path, recipe: recipe, seed: 7)
    for (block, bytes) in models { try bytes.write(to: URL(fileURLWithPath: directory.checkpoint(block))) }
  }

  @discardableResult
  func train(
    _ phases: any Phase..., resuming: Bool = false, stopAfter step: Int? = nil, profile: RunProfile? = nil
  ) throws -> TinyRun {
    let stop = StopFlag()
    log.onStep = { if let step, $0 >= step { stop.raise() } }
    let trainer = Trainer(
      recipe: recipe, seed: 7, device: device, choices: choices, images: .init(taught: images), directory: directory,
      reporter: log, stop: stop, profile: profile)
    for phase in phases { try trainer.run(phase.task(recipe), resuming: resuming) }
    return self
  }

  /// Names of the stored models.
  func checkpoints() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: directory.path + "/checkpoints")
      .filter { !$0.hasSuffix(".state.safetensors") }.map { $0.replacingOccurrences(of: ".safetensors", with: "") }
      .sorted()
  }

  func models() throws -> [String: Data] {
    Dictionary(uniqueKeysWithValues: try checkpoints().map { ($0, try bytes($0)) })
  }

  func bytes(_ block: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: directory.checkpoint(block))) }

  func file(_ block: String) throws -> Safetensors { try Safetensors(reading: directory.checkpoint(block)) }

  /// All values of a checkpoint, one after the other.
  func values(_ block: String) throws -> [Float] {
    let file = try file(block)
    return try file.names.flatMap { try file.floats($0) }
  }

  /// The metrics as text, without what the clock decides.
  func metrics() throws -> [String] { try metricsWithoutTimes(directory.metrics) }

  func steps(of task: String) throws -> [MetricsRow] {
    try directory.metrics.rows(as: MetricsRow.self).filter { $0.event == .step && $0.task == task }
  }

  /// The meta model and the teacher of the small recipe, trained once for all tests.
  static let taught = Result {
    try TinyRun(TinyRecipe()).train(PT(), MT(pairs: [0, 1, 2]), FT()).models().filter {
      ["meta", "teacher"].contains($0.key)
    }
  }
}

func metricsWithoutTimes(_ metrics: JSONLines) throws -> [String] {
  try metrics.rows(as: MetricsRow.self).map { row in
    var row = row
    row.seconds = nil
    row.hostMilliseconds = nil
    if row.event == .task { row.images = nil }
    return "\(row)"
  }
}

/// Remembers what a trainer reports.
final class RunLog: Reporter {
  private struct State {
    var onBegin: (@Sendable () -> Void)?
    var onStep: (@Sendable (Int) -> Void)?
    var notes: [String] = []
  }

  private let state = Mutex(State())

  var onBegin: (@Sendable () -> Void)? {
    get { state.withLock { $0.onBegin } }
    set { state.withLock { $0.onBegin = newValue } }
  }
  /// Called with the number of every step whose results were read.
  var onStep: (@Sendable (Int) -> Void)? {
    get { state.withLock { $0.onStep } }
    set { state.withLock { $0.onStep = newValue } }
  }
  var notes: [String] { state.withLock { $0.notes } }

  func begin(task: String, steps: Int, from step: Int, parameters: Int) { onBegin?() }
  func step(_ rows: [MetricsRow], of steps: Int, imagesPerSecond: Double) {
    if let step = rows.first?.step { onStep?(step) }
  }
  func end(task: String, row: MetricsRow) {}
  func evaluated(_ row: MetricsRow) {}
  func note(_ text: String) { state.withLock { $0.notes.append(text) } }
}

/// The one-line message of the error that `body` throws.
func message(_ body: () throws -> Void, sourceLocation: SourceLocation = #_sourceLocation) -> String {
  do {
    try body()
    Issue.record("nothing was thrown", sourceLocation: sourceLocation)
    return ""
  } catch {
    let text = "\(error)"
    #expect(!text.contains("\n"), "an error is one line", sourceLocation: sourceLocation)
    return text
  }
}
