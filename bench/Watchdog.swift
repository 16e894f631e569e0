import Foundation

/// Runs this program again as a child that may hang or crash: what drivers do with a bad shader.
enum Watchdog {
  /// How a child ended that did not end well by its own account.
  private static let signals: [Int32: String] = [
    SIGSEGV: "segmentation fault", SIGABRT: "abort", SIGBUS: "bus error", SIGILL: "illegal instruction",
    SIGFPE: "arithmetic error", SIGKILL: "killed, perhaps for lack of memory",
  ]

  /// Starts this program with `arguments` and waits until it has ended.
  ///
  /// The child's standard output and errors are ours. Its standard input is a socket: it says what it does there, and sees
  /// on it when we are gone.
  /// - Parameter limit: seconds that the child may take from a limited `beat` to the next.
  /// - Returns: the child's exit status.
  /// - Throws: `BenchError` for a child that hung and was killed, or crashed; with what it was doing.
  static func run(_ arguments: [String], limit: Double) throws(BenchError) -> Int32 {
    var ends: [Int32] = [-1, -1]
    guard let binary = Bundle.main.executableURL, socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0 else {
      throw BenchError("cannot start a second process: \(String(cString: strerror(errno)))")
    }
    let own = ends[0]
    defer { close(own) }
    _ = fcntl(own, F_SETFD, FD_CLOEXEC)
    let child = Process()
    child.executableURL = binary
    child.arguments = arguments
    // A crash is told in one line, by us.
    child.environment = ProcessInfo.processInfo.environment.merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }
    child.standardInput = FileHandle(fileDescriptor: ends[1], closeOnDealloc: false)
    do {
      try child.run()
    } catch {
      close(ends[1])
      throw BenchError("cannot start \(binary.path): \(error.localizedDescription)")
    }
    close(ends[1])

    var doing = "starting"
    var isLimited = false
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      var waiting = pollfd(fd: own, events: Int16(POLLIN), revents: 0)
      let ready = poll(&waiting, 1, isLimited ? Int32(min(limit * 1000, 1e9)) : -1)
      if ready < 0 && errno == EINTR { continue }
      if ready == 0 {
        kill(child.processIdentifier, SIGKILL)
        child.waitUntilExit()
        throw BenchError(
          "no end of \(doing) after \(limit.formatted()) s: killed; raise --limit if it is not a hang")
      }
      let count = read(own, &buffer, buffer.count)
      guard count > 0 else { break }
      let lines = String(decoding: buffer[..<count], as: UTF8.self).split(separator: "\n")
      if let last = lines.last {
        isLimited = last.hasPrefix(limitedMark)
        doing = String(last.drop { String($0) == limitedMark })
      }
    }
    child.waitUntilExit()
    guard child.terminationReason == .uncaughtSignal else { return child.terminationStatus }
    let status = child.terminationStatus
    if status == SIGINT || status == SIGTERM { return 128 + status }
    throw BenchError("the driver crashed in \(doing): \(signals[status] ?? "signal \(status)")")
  }

  /// In the child: ends this process when the parent is gone.
  static func followParent() {
    // A beat to a parent that is gone is no reason to print anything.
    signal(SIGPIPE, SIG_IGN)
    let thread = Thread {
      var byte: UInt8 = 0
      while read(STDIN_FILENO, &byte, 1) != 0 {}
      _exit(1)
    }
    thread.start()
  }

  private static let limitedMark = "!"

  /// In the child: says what comes next.
  /// - Parameter limited: whether it counts as hanging after a while: what a shader does, and not what we do.
  static func beat(_ doing: String, limited: Bool = false) {
    let line = (limited ? limitedMark : "") + doing + "\n"
    _ = line.withCString { write(STDIN_FILENO, $0, strlen($0)) }
  }
}
