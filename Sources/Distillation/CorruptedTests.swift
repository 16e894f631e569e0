import Foundation
import Images
import Storage

/// What a recipe evaluates on beside the test images as they are.
package struct EvaluationSettings: Sendable {
  package let corruptions: [Corruption]
  /// 1...5
  package let severity: Int
  /// Test images of each corruption, at most.
  package let images: Int

  init(_ reader: RecipeReader) throws(RecipeError) {
    var corruptions: [Corruption] = []
    for name in try reader.strings("corruptions", []) {
      guard let corruption = Corruption(rawValue: name) else {
        let known = Corruption.allCases.map(\.rawValue).joined(separator: ", ")
        throw reader.error("corruptions", "'\(name)' is none of \(known)")
      }
      guard !corruptions.contains(corruption) else { throw reader.error("corruptions", "'\(name)' occurs twice") }
      corruptions.append(corruption)
    }
    self.corruptions = corruptions
    let severities = Corruption.severities
    severity = try reader.int("severity", 3, in: severities)
    images = try reader.int("images", 10_000, in: 1...1_000_000)
  }
}

/// The test images under each corruption of a recipe. They are the same for all models and all seeds.
package struct CorruptedTests: Sendable {
  private let settings: EvaluationSettings
  private let sets: [(corruption: Corruption, images: ImageDataset)]

  /// - Parameter test: of a larger set than the recipe asks for, a part in which the classes are balanced is taken.
  package init(_ settings: EvaluationSettings, _ test: ImageDataset) throws(RunError) {
    self.settings = settings
    sets = try attempt("evaluation") { () throws(StorageError) in
      let part = test.count > settings.images ? try test.balanced(settings.images, seed: 0) : test
      var sets: [(corruption: Corruption, images: ImageDataset)] = []
      for corruption in settings.corruptions {
        sets.append((corruption, try part.corrupted(by: corruption, severity: settings.severity)))
      }
      return sets
    }
  }

  package struct Result: Sendable {
    package let corruption: Corruption
    package let severity: Int
    package let evaluation: Evaluation

    func row(task: String, block: String, step: Int) -> MetricsRow {
      var row = MetricsRow(evaluation, on: "test", task: task, block: block, step: step)
      row.corruption = corruption.rawValue
      row.severity = severity
      return row
    }
  }

  package struct Results: Sendable {
    package let results: [Result]

    /// Mean over the corruptions; nil where there are none.
    package var top1: Double? {
      results.isEmpty ? nil : results.reduce(0) { $0 + $1.evaluation.top1 } / Double(results.count)
    }

    /// One line; nil where there are none.
    package var summary: String? {
      guard let top1, let first = results.first else { return nil }
      let each = results.map { String(format: "%@ %.2f", $0.corruption.rawValue as NSString, 100 * $0.evaluation.top1) }
      return String(
        format: "top-1 %.2f %% on corrupted test images, severity %d, %d of each (%@)", 100 * top1, first.severity,
        first.evaluation.images, each.joined(separator: ", ") as NSString)
    }
  }

  package func run(_ evaluator: Evaluator) throws(RunError) -> Results {
    var results: [Result] = []
    for (corruption, images) in sets {
      results.append(
        Result(corruption: corruption, severity: settings.severity, evaluation: try evaluator.run(over: images)))
    }
    return Results(results: results)
  }

  /// What the table's column is the mean of.
  package var note: String? {
    guard let images = sets.first?.images.count else { return nil }
    return "corrupted: mean over \(settings.corruptions.map(\.rawValue).joined(separator: ", ")) at severity "
      + "\(settings.severity), each on \(images) test images"
  }
}
