/// Why a run stopped: one line for the person who started it.
package struct RunError: Error, Sendable, CustomStringConvertible {
  package let description: String
  /// The run was asked to stop and can be continued.
  package let wasStopped: Bool

  package init(_ description: String) {
    self.description = description
    wasStopped = false
  }

  package init(stopped description: String) {
    self.description = description
    wasStopped = true
  }
}

/// Does `body`; an error of a lower layer becomes a `RunError` with its message.
func attempt<T, E: Error>(_ context: String? = nil, _ body: () throws(E) -> T) throws(RunError) -> T {
  do {
    return try body()
  } catch {
    throw (error as? RunError) ?? RunError(context.map { "\($0): \(error)" } ?? "\(error)")
  }
}
