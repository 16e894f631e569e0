/// A trace in the Trace Event Format, which Perfetto and chrome://tracing open.
struct Trace: Encodable {
  enum Process: Int {
    case host = 1
    case device = 2
  }

  struct Event: Encodable {
    var name: String
    var cat: String?
    /// `X` for a span, `M` for a name of a process or thread.
    var ph: String
    var pid: Int
    var tid: Int
    /// Microseconds.
    var ts: Double?
    var dur: Double?
    var args: Arguments
  }

  struct Arguments: Encodable {
    var name: String?
    var step: Int?
    var shapes: String?
  }

  private(set) var traceEvents: [Event] = [
    named("process_name", .host, 0, "host"), named("thread_name", .host, 1, "training"),
    named("thread_name", .host, 2, "prefetch"), named("process_name", .device, 0, "device"),
    named("thread_name", .device, 1, "queue"),
  ]
  let displayTimeUnit = "ms"
  var otherData: [String: String] = [:]

  private static func named(_ kind: String, _ process: Process, _ thread: Int, _ name: String) -> Event {
    Event(name: kind, ph: "M", pid: process.rawValue, tid: thread, args: Arguments(name: name))
  }

  /// - Parameters:
  ///   - begin: seconds, as is `end`; both are rounded to nanoseconds, so that what touches does not overlap.
  mutating func span(
    _ name: String, category: String, _ process: Process, thread: Int, from begin: Double, to end: Double, step: Int,
    shapes: String? = nil
  ) {
    let (first, last) = ((1e9 * begin).rounded(), (1e9 * end).rounded())
    traceEvents.append(
      Event(
        name: name, cat: category, ph: "X", pid: process.rawValue, tid: thread, ts: first / 1e3,
        dur: (last - first) / 1e3, args: Arguments(step: step, shapes: shapes)))
  }
}
