import Foundation
import Storage

/// The files of one run: resolved recipe, metrics, checkpoints, results.
package struct RunDirectory: Sendable {
  package let path: String
  package let metrics: JSONLines

  package init(_ path: String, recipe: Recipe) throws(RunError) {
    self.path = path
    do {
      try FileManager.default.createDirectory(atPath: path + "/checkpoints", withIntermediateDirectories: true)
    } catch {
      throw RunError("cannot create the run directory \(path): \(error.localizedDescription)")
    }
    let recipeFile = path + "/recipe.yml"
    if let earlier = try? String(contentsOfFile: recipeFile, encoding: .utf8), earlier != recipe.yaml {
      throw RunError("\(path) holds a run of another recipe (compare \(recipeFile)); choose another --output")
    }
    metrics = try attempt { () throws(StorageError) in
      try AtomicFile.write(to: recipeFile) { (file) throws(StorageError) in try file.write(Array(recipe.yaml.utf8)) }
      return try JSONLines(path + "/metrics.jsonl")
    }
  }

  /// `runs/fashion-vmoe-seed0`, or with `-2`, `-3`, … behind it where that exists.
  package static func unused(for recipe: Recipe, seed: UInt64) -> String {
    let base = latest(for: recipe, seed: seed)
    var path = base
    var number = 2
    while FileManager.default.fileExists(atPath: path) {
      path = "\(base)-\(number)"
      number += 1
    }
    return path
  }

  package static func latest(for recipe: Recipe, seed: UInt64) -> String { "runs/\(recipe.name)-seed\(seed)" }

  package func checkpoint(_ block: String) -> String { "\(path)/checkpoints/\(block).safetensors" }
  /// The unfinished state of a task.
  package func state(_ task: String) -> String {
    "\(path)/checkpoints/\(task.replacingOccurrences(of: " ", with: "-")).state.safetensors"
  }

  package func has(_ block: String) -> Bool { FileManager.default.fileExists(atPath: checkpoint(block)) }
}
