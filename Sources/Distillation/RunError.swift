/// Why a run stopped: one line for the person who started it.
package struct RunError: Error, Sendable, CustomStringConvertible {
  package let description: String

  package init(_ description: String) { self.description = description }
}

/// Does `body`; an error of a lower layer becomes a `RunError` with its message.
func attempt<T, E: Error>(_ context: String? = nil, _ body: () throws(E) -> T) throws(RunError) -> T {
  do {
    return try body()
  } catch {
    throw (error as? RunError) ?? RunError(context.map { "\($0): \(error)" } ?? "\(error)")
  }
}
