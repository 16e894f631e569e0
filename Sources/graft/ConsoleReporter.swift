import Distillation
import Foundation
import Synchronization

/// Shows a run: a progress bar that redraws itself on a terminal, a line every tenth of a task elsewhere.
final class ConsoleReporter: Reporter {
  private struct State {
    var task = ""
    var begin = ContinuousClock.now
    /// Steps that an earlier run had done.
    var done = 0
    var last = ContinuousClock.now
    var shown = 0
  }

  private let isTerminal = isatty(STDOUT_FILENO) == 1
  private let state = Mutex(State())

  func begin(task: String, steps: Int, from step: Int, parameters: Int) {
    state.withLock { $0 = State(task: task, done: step - 1, last: .now - .seconds(1)) }
    let start = step > 1 ? ", continued after step \(step - 1)" : ""
    line("\(task): \(steps) steps, \(parameters) parameters\(start)")
  }

  func step(_ rows: [MetricsRow], of steps: Int, imagesPerSecond: Double) {
    guard let step = rows.first?.step else { return }
    let isDue = state.withLock { state in
      let due =
        isTerminal
        ? step == steps || state.last.duration(to: .now) > .milliseconds(200)
        : step * 10 / steps > state.shown
      if due {
        state.last = .now
        state.shown = step * 10 / steps
      }
      return due
    }
    guard isDue else { return }
    let loss = rows.map { String(format: "%.4f", $0.loss ?? .nan) }.joined(separator: " ")
    let speed = String(format: "%.0f images/s", imagesPerSecond)
    if isTerminal {
      let filled = 24 * step / steps
      let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: 24 - filled)
      let (task, left) = state.withLock { state in
        let perStep = state.begin.duration(to: .now) / max(1, step - state.done)
        return (state.task, (perStep * (steps - step)).formatted(.time(pattern: .minuteSecond)))
      }
      print(
        "\r\u{1b}[K\(task) [\(bar)] \(step)/\(steps)  loss \(loss)  \(speed)  \(left) left",
        terminator: step == steps ? "\n" : "")
      fflush(nil)
    } else {
      line("  step \(step)/\(steps)  loss \(loss)  \(speed)")
    }
  }

  func end(task: String, row: MetricsRow) {
    line(
      String(
        format: "  %@ took %.1f s, host work %.3f ms a step", task as NSString, row.seconds ?? 0,
        row.hostMilliseconds ?? 0))
  }

  func evaluated(_ row: MetricsRow) {
    line(
      String(
        format: "%@ on %@: top-1 %.2f %%, loss %.4f", row.block as NSString, (row.split ?? "") as NSString,
        100 * (row.top1 ?? 0), row.loss ?? 0))
  }

  func note(_ text: String) { line(text) }

  private func line(_ text: String) {
    print(text)
    fflush(nil)
  }
}
