import Foundation
import Storage

/// The files of one run: resolved recipe, chosen kernels, metrics, checkpoints, results.
package struct RunDirectory: Sendable {
  package let path: String
  package let metrics: JSONLines
  private let lock: DirectoryLock
  /// Whether the directory held a run before that has done anything.
  let wasBegun: Bool

  /// What is expected of the directory.
  package enum Use: Sendable {
    /// It holds no run yet.
    case new
    /// It holds a run, or checkpoints to build on.
    case resume
    case either
  }

  /// Makes what is missing, and keeps other processes out of the directory while this value lives.
  package init(_ path: String, recipe: Recipe, seed: UInt64, use: Use = .either) throws(RunError) {
    self.path = path
    let text = "# Resolved recipe of a run with seed \(seed).\n\(recipe.yaml)"
    let recipeFile = path + "/recipe.yml"
    let earlier = try? String(contentsOfFile: recipeFile, encoding: .utf8)
    if use == .new, earlier != nil {
      throw RunError("\(path) holds a run already; continue it with --resume or choose another --output")
    }
    // Checkpoints alone are enough: they may have been copied here from other machines.
    if use == .resume, earlier == nil, !FileManager.default.fileExists(atPath: path + "/checkpoints") {
      throw RunError("\(path) holds no run to resume; name its directory with --output, or start without --resume")
    }
    if let earlier, earlier != text {
      throw RunError("\(path) holds a run of another recipe or seed (compare \(recipeFile)); choose another --output")
    }
    do {
      try FileManager.default.createDirectory(atPath: path + "/checkpoints", withIntermediateDirectories: true)
    } catch {
      throw RunError("cannot create the run directory \(path): \(error.localizedDescription)")
    }
    lock = try DirectoryLock(path)
    metrics = try attempt { () throws(StorageError) in
      if earlier == nil {
        try AtomicFile.write(to: recipeFile) { (file) throws(StorageError) in try file.write(Array(text.utf8)) }
      }
      return try JSONLines(RunDirectory.metricsFile(path))
    }
    wasBegun = RunDirectory.wasBegun(path)
  }

  /// Whether a directory holds a run that has done anything.
  static func wasBegun(_ path: String) -> Bool {
    FileManager.default.contents(atPath: metricsFile(path))?.isEmpty == false
  }

  private static func metricsFile(_ path: String) -> String { path + "/metrics.jsonl" }

  /// `runs/fashion-vmoe-seed0`, or with `-2`, `-3`, … behind it where that exists.
  package static func unused(for recipe: Recipe, seed: UInt64) -> String {
    candidates(recipe, seed).first { !FileManager.default.fileExists(atPath: $0) } ?? ""
  }

  /// The last one made of these; the first name if there is none.
  package static func latest(for recipe: Recipe, seed: UInt64) -> String {
    var latest: String?
    for path in candidates(recipe, seed) {
      guard FileManager.default.fileExists(atPath: path) else { return latest ?? path }
      latest = path
    }
    return latest ?? ""
  }

  private static func candidates(_ recipe: Recipe, _ seed: UInt64) -> some Sequence<String> {
    let base = "runs/\(recipe.name)-seed\(seed)"
    return (1...).lazy.map { $0 == 1 ? base : "\(base)-\($0)" }
  }

  package func checkpoint(_ block: String) -> String { "\(path)/checkpoints/\(block).safetensors" }
  /// The unfinished state of a task.
  package func state(_ task: String) -> String {
    "\(path)/checkpoints/\(task.replacingOccurrences(of: " ", with: "-")).state.safetensors"
  }

  package func has(_ block: String) -> Bool { FileManager.default.fileExists(atPath: checkpoint(block)) }
}

/// Held until it is released or the process ends, however it ends.
private final class DirectoryLock: Sendable {
  private let descriptor: Int32

  init(_ path: String) throws(RunError) {
    descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw RunError("cannot open the run directory \(path): \(String(cString: strerror(errno)))")
    }
    // Some network file systems cannot lock a directory; that is no reason not to run.
    if flock(descriptor, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
      close(descriptor)
      throw RunError("\(path) is in use by another graft run; wait for it or choose another --output")
    }
  }

  deinit { close(descriptor) }
}
