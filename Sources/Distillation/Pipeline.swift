import Foundation
import GPU
import Graph
import Images
import Models
import NN
import Storage

/// A run of a recipe: its phases in order, the controls beside them, and what they reach on the test images.
package struct Pipeline: Sendable {
  package struct Selection: Sendable {
    /// One phase alone; nil runs all.
    package var phase: PhaseName?
    /// Some of the teaching pairs, for MT and m2mKD.
    package var pairs: [Int]?
    /// Also the controls that take as long as the student did.
    package var controls: Bool

    package init(phase: PhaseName? = nil, pairs: [Int]? = nil, controls: Bool = false) {
      self.phase = phase
      self.pairs = pairs
      self.controls = controls
    }
  }

  /// The images of a run.
  package struct Images: Sendable {
    /// Of one data set.
    struct Splits: Sendable {
      let training: ImageDataset
      let validation: ImageDataset
      let test: ImageDataset

      init(_ data: DataSettings, _ task: ImageTask) throws(StorageError) {
        // The same images for every seed, so that runs are compared on the same split.
        (training, validation) = try data.dataset(.train, for: task).split(validation: data.validation, seed: 0)
        test = try data.dataset(.test, for: task)
      }
    }

    /// Of meta model, teacher and student modules.
    let taught: Splits
    /// Of the whole student.
    let target: Splits
    /// What few-shot adaptation learns from and is tested on; nil without it.
    let fewShot: (support: ImageDataset, query: ImageDataset)?

    package init(_ recipe: Recipe) throws(RunError) {
      fewShot = try recipe.fewShot.map { (few) throws(RunError) in
        let learned = try Images.fewShot(few, recipe, .train)
        let support = try attempt("few_shot") { () throws(StorageError) in
          try learned.balanced(few.ways * few.shots, seed: 0)
        }
        return (support, try Images.fewShot(few, recipe, .test))
      }
      let taught = try attempt { () throws(StorageError) in try Splits(recipe.data, recipe.task) }
      target =
        recipe.hasTarget
        ? try attempt("target") { () throws(StorageError) in try Splits(recipe.target.data, recipe.target.task) }
        : taught
      self.taught = taught
    }

    package var training: TrainingImages {
      TrainingImages(taught: taught.training, target: target.training, support: fewShot?.support)
    }

    /// What a model that reads these is evaluated on.
    func evaluated(_ source: TrainingTask.Source) -> [(split: String, data: ImageDataset)] {
      if source == .fewShot { return fewShot.map { [("test", $0.query)] } ?? [] }
      let splits = source == .taught ? taught : target
      return [("validation", splits.validation), ("test", splits.test)]
    }

    /// The test images alone of the whole model of this name.
    package static func test(of block: String, _ recipe: Recipe) throws(RunError) -> ImageDataset {
      let source = recipe.source(of: block)
      if source == .fewShot, let few = recipe.fewShot { return try fewShot(few, recipe, .test) }
      let (data, task) = source == .taught ? (recipe.data, recipe.task) : recipe.target
      return try attempt { () throws(StorageError) in try data.dataset(.test, for: task) }
    }

    /// Images of the classes to adapt to: the same for every seed, as with the validation images.
    private static func fewShot(
      _ few: FewShotSettings, _ recipe: Recipe, _ split: ImageDataset.Split
    ) throws(RunError) -> ImageDataset {
      try attempt("few_shot") { () throws(StorageError) in
        try few.data.dataset(split, size: recipe.target.task.size).classes(few.ways, seed: 0)
      }
    }
  }

  private let trainer: Trainer
  private let images: Images
  private var recipe: Recipe { trainer.recipe }

  package init(
    recipe: Recipe, seed: UInt64, device: Device, choices: Choices = .defaults, images: Images,
    directory: RunDirectory, reporter: any Reporter, stop: StopFlag, profile: RunProfile? = nil
  ) {
    self.images = images
    trainer = Trainer(
      recipe: recipe, seed: seed, device: device, choices: choices, images: images.training, directory: directory,
      reporter: reporter, stop: stop, profile: profile)
  }

  /// A model of the results table: what it is called, its checkpoint, and the tasks that led to it.
  package struct Contestant: Sendable {
    package let title: String
    package let block: String
    package let tasks: [String]
  }

  package static let contestants = [
    Contestant(title: "meta model", block: "meta", tasks: ["PT"]),
    Contestant(title: "teacher", block: "teacher", tasks: ["MT", "FT"]),
    Contestant(title: "student, m2mKD", block: "student", tasks: ["m2mKD", "E2E"]),
    Contestant(title: "student from scratch, E2E steps", block: "scratch", tasks: ["E2E scratch"]),
    Contestant(title: "student from scratch, all steps", block: "long", tasks: ["E2E long"]),
    Contestant(
      title: "student, modules without teacher", block: "alone", tasks: ["m2mKD alone", "E2E alone"]),
    Contestant(title: "student, few-shot head", block: FS.block, tasks: ["FS"]),
  ]

  /// Trains what `selection` names.
  package func train(_ selection: Selection, resuming: Bool) throws(RunError) {
    for task in Pipeline.tasks(recipe, selection) { try trainer.run(task, resuming: resuming) }
  }

  /// Whether every task of the selection has enough images and device memory, before the first has run for hours.
  package static func check(
    _ recipe: Recipe, _ selection: Selection, images: Images, on device: Device
  ) throws(RunError) {
    for task in tasks(recipe, selection) {
      _ = try attempt(task.name) { () throws(StorageError) in
        try BatchSampler(
          count: try task.images(of: images.training).count,
          batch: task.settings.batch * task.settings.accumulate,
          seed: 0, stream: "")
      }
      let step = try attempt(task.name) { () throws(ShapeError) in try StepProgram(task, recipe: recipe) }
      try task.checkMemory(PlanLayout(step.program, traits: device.traits, frozen: task.frozen), on: device)
    }
  }

  /// The programs that `selection` runs, training steps and evaluations, with how often each of them runs.
  package static func programs(
    _ recipe: Recipe, _ selection: Selection, images: Images
  ) throws(RunError) -> [(program: Program, runs: Int)] {
    var programs: [(program: Program, runs: Int)] = []
    var evaluated: [Classifier] = []
    for task in tasks(recipe, selection) {
      let step = try attempt(task.name) { () throws(ShapeError) in try StepProgram(task, recipe: recipe) }
      programs.append((step.program, task.settings.steps))
      if let consultation = task.consultation {
        programs.append(
          (try attempt(task.name) { () throws(ShapeError) in try consultation.program() }, task.settings.steps))
      }
      evaluated += task.trained.compactMap { recipe.classifier($0.block) }
    }
    for model in evaluated {
      let block = model.layout.block
      let task = recipe.images(of: block)
      let sets = images.evaluated(recipe.source(of: block)).map(\.data.count)
      let corrupted = recipe.evaluation.corruptions.count * min(recipe.evaluation.images, sets.last ?? 0)
      let program = try attempt { () throws(ShapeError) in try Evaluator.program(model, task) }
      programs.append((program, (sets.reduce(0, +) + corrupted) / Evaluator.batch(task) + 1))
    }
    return programs
  }

  private static func tasks(_ recipe: Recipe, _ selection: Selection) -> [TrainingTask] {
    let pairs = selection.pairs ?? Array(0..<recipe.pairs)
    let phases = recipe.allPhases(pairs: pairs)
    let chosen = phases.filter { selection.phase == nil || selection.phase == $0.name }
    guard selection.phase == nil, selection.pairs == nil else { return chosen.map { $0.task(recipe) } }
    return (chosen + [scratch(recipe)] + (selection.controls ? longControls(recipe) : [])).map { $0.task(recipe) }
  }

  /// The control that every whole run has: the student from scratch with the steps of E2E.
  private static func scratch(_ recipe: Recipe) -> any Phase {
    let endToEnd = recipe.settings(.e2e)
    return E2E(
      block: "scratch", start: .scratch,
      settings: endToEnd.with(steps: endToEnd.steps, rate: recipe.controls.scratchRate))
  }

  /// What else makes the student's result mean something: all of its steps without modules, and modules without a teacher.
  private static func longControls(_ recipe: Recipe) -> [any Phase] {
    let endToEnd = recipe.settings(.e2e)
    let total = endToEnd.steps + recipe.settings(.m2mKD).steps
    return [
      E2E(block: "long", start: .scratch, settings: endToEnd.with(steps: total, rate: recipe.controls.longRate)),
      M2mKD(pairs: Array(0..<recipe.pairs), block: "alone", alpha: 0),
      E2E(block: "alone", start: .modules("alone")),
    ]
  }

  /// Evaluates every whole model the run has, on validation and test images, and on corrupted ones if the recipe names any.
  package func evaluate() throws(RunError) -> ResultsTable {
    let directory = trainer.directory
    try attempt { () throws(StorageError) in
      try directory.metrics.remove { (row: MetricsRow) in row.event == .evaluation }
    }
    let tasks = try attempt { () throws(StorageError) in
      try directory.metrics.rows(as: MetricsRow.self).filter { $0.event == .task }
    }
    let corrupted = try CorruptedTests(recipe.evaluation, images.target.test)
    let taught = recipe.hasTarget ? try CorruptedTests(recipe.evaluation, images.taught.test) : corrupted
    var rows: [ResultsTable.Row] = []
    for contestant in Pipeline.contestants where directory.has(contestant.block) {
      guard !trainer.stop.isRaised else { throw RunError(stopped: "stopped before \(contestant.title) was evaluated") }
      let checkpoint = try StoredModel(reading: directory.checkpoint(contestant.block))
      let evaluator = try checkpoint.evaluator(on: trainer.device, choices: trainer.choices)
      var results: [Evaluation] = []
      let source = recipe.source(of: contestant.block)
      for (split, data) in images.evaluated(source) where data.count > 0 {
        let result = try evaluator.run(over: data)
        let row = MetricsRow(
          result, on: split, task: contestant.tasks.last ?? "", block: contestant.block, step: checkpoint.step)
        try attempt { () throws(StorageError) in try directory.metrics.append(row) }
        trainer.reporter.evaluated(row)
        results.append(result)
      }
      guard let last = results.last else { continue }
      let harder =
        switch source {
        case .taught: try taught.run(evaluator)
        case .target: try corrupted.run(evaluator)
        case .fewShot: CorruptedTests.Results(results: [])
        }
      for result in harder.results {
        let row = result.row(task: contestant.tasks.last ?? "", block: contestant.block, step: checkpoint.step)
        try attempt { () throws(StorageError) in try directory.metrics.append(row) }
      }
      if let summary = harder.summary { trainer.reporter.note("\(contestant.block): \(summary)") }
      let own = tasks.filter { contestant.tasks.contains($0.task) }
      rows.append(
        ResultsTable.Row(
          title: contestant.title, validation: results.count > 1 ? results[0] : nil, test: last,
          corrupted: harder.top1,
          steps: contestant.tasks.compactMap { name in own.last { $0.task == name }?.step },
          seconds: own.reduce(0) { $0 + ($1.seconds ?? 0) }))
    }
    return ResultsTable(rows, note: corrupted.note)
  }
}

/// A whole model read back from its checkpoint.
package struct StoredModel: Sendable {
  package let recipe: Recipe
  package let block: String
  package let step: Int
  private let seed: UInt64
  private let model: Classifier
  private let values: [Float]

  package init(reading path: String) throws(RunError) {
    let file = try attempt { () throws(StorageError) in try Safetensors(reading: path) }
    let description = try Checkpoint.Description(file)
    let recipe = try attempt { () throws(RecipeError) in try Recipe(file: "recipe in \(path)", text: description.recipe)
    }
    let block = description.block
    guard let model = recipe.classifier(block) else {
      throw RunError("\(path) holds '\(block)', a module or unfinished state; only whole models can be evaluated")
    }
    self.model = model
    seed = description.seed
    values = try Checkpoint.values(model.layout) { (file, $0) }
    self.recipe = recipe
    self.block = block
    step = description.step
  }

  package func evaluator(on device: Device, choices: Choices = .defaults) throws(RunError) -> Evaluator {
    try Evaluator(
      model, values: values, task: recipe.images(of: block), seed: seed, device: device, choices: choices)
  }
}
