import Foundation
import GPU

/// Compares the driver's own vector width with 512 bits: a process for each, since a process has one width, which take a
/// short step in turn.
enum WidthTrial {
  static let wide = 512
  /// Seconds until a process must have compiled its kernels, and for a step after that.
  private static let patience = (start: 60.0, step: 10.0)
  private static let rounds = 10
  /// How much faster the wider vectors must be to be taken, as a fraction of the time.
  private static let advantage = 0.03
  /// Of the step's result, which both compute from the same numbers.
  private static let tolerance = 1e-3

  /// - Parameter device: what the command was asked to run on.
  /// - Returns: what came of it, with the driver's own width where it failed: a later run must find what this one did. Nil where no
  ///   device answers.
  static func record(device: String?, kernels: String) -> WidthStore.Record? {
    let arguments = [WidthProbe.command] + (device.map { ["--device", $0] } ?? [])
    guard let own = ProbeProcess(arguments, bits: nil), let found = own.hello(within: patience.start) else {
      return nil
    }
    var record = WidthStore.Record(driver: found.driver, kernels: kernels, chosen: nil, date: now())
    guard let bits = found.bits, bits < wide else { return record }
    func left(_ reason: String) -> WidthStore.Record {
      record.trials = [.init(bits: bits), .init(bits: wide, rejected: reason)]
      return record
    }
    guard let other = ProbeProcess(arguments, bits: wide) else { return left("no process") }
    guard let hello = other.hello(within: patience.start) else { return left("no answer") }
    guard hello.bits == wide else { return left("the driver did not take them") }
    // Both compile at the same time.
    own.ask()
    other.ask()
    guard let a = own.answer(within: patience.start) else { return left("no answer with \(bits)") }
    guard let b = other.answer(within: patience.start) else { return left("no answer") }
    guard abs(a.result - b.result) <= tolerance * max(1, abs(a.result)) else { return left("a step is wrong") }
    var times: [[Double]] = [[], []]
    for _ in 0..<rounds {
      for (i, process) in [own, other].enumerated() {
        process.ask()
        guard let answer = process.answer(within: patience.step) else {
          return left(i == 0 ? "no answer with \(bits)" : "no answer")
        }
        times[i].append(answer.seconds)
      }
    }
    record.trials = zip([bits, wide], times).map {
      .init(bits: $0, bestSeconds: $1.min(), medianSeconds: quantile($1, 0.5))
    }
    record.chosen = choice(times) ? wide : nil
    return record
  }

  /// Whether the second is faster than the first: in the median by more than noise, and at its best.
  static func choice(_ times: [[Double]]) -> Bool {
    quantile(times[1], 0.5) < (1 - advantage) * quantile(times[0], 0.5)
      && (times[1].min() ?? .infinity) < (times[0].min() ?? 0)
  }
}

/// What a process says first that times steps, as JSON on a line; then, for each line that it reads, one with the
/// seconds and the result of a step.
package struct WidthProbe: Codable, Sendable {
  /// Of the program, that makes it such a process.
  package static let command = "measure-width"

  let driver: String
  /// Nil for a driver without a choice; nothing follows then.
  let bits: Int?

  /// Answers on standard output until standard input ends.
  /// - Parameter step: runs a step and gives its result.
  package static func answer(_ device: DeviceSnapshot, step: () throws -> Double) throws {
    let probe = WidthProbe(driver: WidthStore.driver(of: device), bits: device.vectorBits)
    print(String(decoding: try JSONEncoder().encode(probe), as: UTF8.self))
    fflush(nil)
    while probe.bits != nil, readLine() != nil {
      let begin = ContinuousClock.now
      let result = try step()
      print(begin.duration(to: .now) / .seconds(1), result)
      fflush(nil)
    }
  }
}

/// This program as a second process, which is asked over a socket; it ends with this value.
private final class ProbeProcess {
  private let process = Process()
  private let socket: Int32
  private var text = ""

  /// - Parameter bits: nil for the driver's own width.
  init?(_ arguments: [String], bits: Int?) {
    var ends: [Int32] = [-1, -1]
    guard let binary = Bundle.main.executableURL, socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0 else {
      return nil
    }
    socket = ends[0]
    _ = fcntl(socket, F_SETFD, FD_CLOEXEC)
    process.executableURL = binary
    process.arguments = arguments
    var environment = ProcessInfo.processInfo.environment
    environment[VectorWidth.variable] = bits.map(String.init)
    // What a driver does with a width that it cannot take is told in one line, by us.
    environment["SWIFT_BACKTRACE"] = "enable=no"
    process.environment = environment
    process.standardInput = FileHandle(fileDescriptor: ends[1], closeOnDealloc: false)
    process.standardOutput = process.standardInput
    process.standardError = FileHandle.nullDevice
    let isRunning = (try? process.run()) != nil
    close(ends[1])
    if !isRunning { return nil }
  }

  deinit {
    close(socket)
    guard process.processIdentifier > 0 else { return }
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }

  func hello(within seconds: Double) -> WidthProbe? {
    line(within: seconds).flatMap { try? JSONDecoder().decode(WidthProbe.self, from: Data($0.utf8)) }
  }

  /// For one more step.
  func ask() {
    // A process that is gone is no reason to end this one; it will not answer.
    _ = send(socket, "\n", 1, Int32(MSG_NOSIGNAL))
  }

  func answer(within patience: Double) -> (seconds: Double, result: Double)? {
    let numbers = line(within: patience)?.split(separator: " ").compactMap { Double($0) } ?? []
    return numbers.count == 2 ? (numbers[0], numbers[1]) : nil
  }

  private func line(within seconds: Double) -> String? {
    let deadline = ContinuousClock.now.advanced(by: .seconds(seconds))
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      if let end = text.firstIndex(of: "\n") {
        defer { text.removeSubrange(...end) }
        return String(text[..<end])
      }
      let left = ContinuousClock.now.duration(to: deadline) / .seconds(1)
      var waiting = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
      let ready = left > 0 ? poll(&waiting, 1, Int32(left * 1000) + 1) : 0
      if ready < 0 && errno == EINTR { continue }
      guard ready > 0 else { return nil }
      let count = read(socket, &buffer, buffer.count)
      guard count > 0 else { return nil }
      text += String(decoding: buffer[..<count], as: UTF8.self)
    }
  }
}
