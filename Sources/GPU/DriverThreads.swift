import CVulkan
import Foundation

/// The threads that Mesa's software driver computes with, each on a processor of its own.
///
/// A dispatch wakes all of them at once, and Linux may put them on one processor, that of the thread that woke them. Short dispatches are
/// over before it spreads them, so that two processors then do the work of one for as long as a process runs.
enum DriverThreads {
  /// Places them, where there is one for each processor that this process may use: then none is better off elsewhere.
  ///
  /// Mesa has no call for that. It starts as many threads called llvmpipe-0 … for pictures and then those for compute, which are called
  /// like the process (seen with 22.3 and 26.2); where there are none such, nothing happens.
  static func spread() {
    #if os(Linux)
      let processors = allowedProcessors()
      guard processors.count > 1, let names = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")
      else { return }
      let threads = names.compactMap { Int32($0) }.sorted()
      for (i, thread) in threads.enumerated() where name(of: thread) == "llvmpipe-\(processors.count - 1)" {
        for (worker, processor) in zip(threads.dropFirst(i + 1), processors) { place(worker, on: processor) }
      }
    #endif
  }

  #if os(Linux)
    private static let mostProcessors = 1024  // of a `cpu_set_t`

    private static func name(of thread: Int32) -> String? {
      (try? String(contentsOfFile: "/proc/self/task/\(thread)/comm", encoding: .utf8))?
        .trimmingCharacters(in: .newlines)
    }

    private static func allowedProcessors() -> [Int] {
      var bits = [UInt8](repeating: 0, count: mostProcessors / 8)
      guard sched_getaffinity(getpid(), bits.count, &bits) == 0 else { return [] }
      return (0..<mostProcessors).filter { bits[$0 / 8] >> ($0 % 8) & 1 == 1 }
    }

    /// A thread that has ended, or may not be moved, stays as it is.
    private static func place(_ thread: Int32, on processor: Int) {
      var bits = [UInt8](repeating: 0, count: mostProcessors / 8)
      bits[processor / 8] = 1 << (processor % 8)
      _ = sched_setaffinity(thread, bits.count, bits)
    }
  #endif
}
