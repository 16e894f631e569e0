import Yams

/// What is wrong with a recipe: one line with file, line, key, value and what would be right.
package struct RecipeError: Error, Sendable, CustomStringConvertible {
  package let description: String

  package init(_ file: String, line: Int? = nil, _ message: String) {
    description = "\(file)\(line.map { ":\($0)" } ?? ""): \(message)"
  }
}

/// Reads one mapping of a YAML recipe key by key, remembers what it read (defaults included), and rejects what is left.
final class RecipeReader {
  let file: String
  private let path: String
  private let node: Node
  /// Of the key that this mapping belongs to.
  private let line: Int
  private var unread: [String: Node]
  private var known: Set<String> = []
  private var resolved: [(Node, Node)] = []

  convenience init(file: String, text: String) throws(RecipeError) {
    do {
      guard let node = try Yams.compose(yaml: text) else { throw RecipeError(file, "the recipe is empty") }
      try self.init(file: file, path: "", node: node, line: 1)
    } catch YamlError.scanner(_, let problem, let mark, _), YamlError.parser(_, let problem, let mark, _),
      YamlError.composer(_, let problem, let mark, _)
    {
      throw RecipeError(file, line: mark.line, "not YAML: \(problem)")
    } catch YamlError.duplicatedKeysInMapping(let keys, let context) {
      throw RecipeError(file, line: context.mark.line, "not YAML: the key '\(keys.first ?? "")' occurs twice")
    } catch let error as RecipeError {
      throw error
    } catch {
      throw RecipeError(file, "\(error)")
    }
  }

  private init(file: String, path: String, node: Node, line: Int) throws(RecipeError) {
    guard let mapping = node.mapping else {
      throw RecipeError(file, line: line, "\(path.isEmpty ? "the recipe" : path): expected `key: value` lines")
    }
    self.file = file
    self.path = path
    self.node = node
    self.line = line
    unread = [:]
    for (key, value) in mapping { unread[key.string ?? ""] = value }
  }

  private func full(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

  /// An error at a key of this mapping, or at the mapping where it lacks the key.
  func error(_ key: String, _ message: String) -> RecipeError {
    RecipeError(file, line: line(of: key) ?? line, "\(full(key)): \(message)")
  }

  private func line(of key: String) -> Int? { node.mapping?.first { $0.key.string == key }?.key.mark?.line }

  func has(_ key: String) -> Bool {
    known.insert(key)
    return node.mapping?[key] != nil
  }

  private func read<T>(
    _ key: String, _ fallback: T?, _ kind: String, from convert: (Node) -> T?, to write: (T) -> Node
  ) throws(RecipeError) -> T {
    known.insert(key)
    let value: T
    if let node = unread.removeValue(forKey: key) {
      guard let converted = convert(node) else {
        throw error(key, "expected \(kind), found \(node.scalar.map { "'\($0.string)'" } ?? "a list or mapping")")
      }
      value = converted
    } else if let fallback {
      value = fallback
    } else {
      throw error(key, "is missing (\(kind))")
    }
    resolved.append((Node(key), write(value)))
    return value
  }

  func int(_ key: String, _ fallback: Int? = nil, in range: ClosedRange<Int> = 0...Int(Int32.max)) throws(RecipeError)
    -> Int
  {
    let value = try read(key, fallback, "an integer", from: \.int, to: { Node(String($0)) })
    guard range.contains(value) else { throw error(key, "\(value) is not in \(range.lowerBound)…\(range.upperBound)") }
    return value
  }

  func double(
    _ key: String, _ fallback: Double? = nil, in range: ClosedRange<Double> = 0...Double.greatestFiniteMagnitude
  )
    throws(RecipeError) -> Double
  {
    let value = try read(key, fallback, "a number", from: \.float, to: { Node("\($0)") })
    guard range.contains(value) else {
      throw error(
        key,
        range.upperBound < 1e300
          ? "\(value) is not in \(range.lowerBound)…\(range.upperBound)" : "\(value) is negative or not a number")
    }
    return value
  }

  func optionalDouble(_ key: String, in range: ClosedRange<Double>) throws(RecipeError) -> Double? {
    has(key) ? try double(key, in: range) : nil
  }

  func bool(_ key: String, _ fallback: Bool? = nil) throws(RecipeError) -> Bool {
    try read(key, fallback, "true or false", from: \.bool, to: { Node($0 ? "true" : "false") })
  }

  func string(_ key: String, _ fallback: String? = nil) throws(RecipeError) -> String {
    try read(key, fallback, "a text", from: { $0.scalar?.string }, to: { Node($0) })
  }

  func choice<T: RawRepresentable & CaseIterable>(_ key: String, _ fallback: T? = nil) throws(RecipeError) -> T
  where T.RawValue == String {
    let known = T.allCases.map(\.rawValue).joined(separator: ", ")
    return try read(
      key, fallback, "one of \(known)", from: { $0.scalar.flatMap { T(rawValue: $0.string) } },
      to: { Node($0.rawValue) })
  }

  func ints(_ key: String, _ fallback: [Int]? = nil) throws(RecipeError) -> [Int] {
    try read(
      key, fallback, "a list of integers", from: { Self.list($0) { $0.int } },
      to: { Self.flow($0.map { "\($0)" }) })
  }

  func strings(_ key: String, _ fallback: [String]? = nil) throws(RecipeError) -> [String] {
    try read(
      key, fallback, "a list of texts", from: { Self.list($0) { $0.scalar?.string } }, to: { Self.flow($0) })
  }

  func doubles(_ key: String, _ fallback: [Double]? = nil) throws(RecipeError) -> [Double] {
    try read(
      key, fallback, "a list of numbers", from: { Self.list($0) { $0.float } },
      to: { Self.flow($0.map { "\($0)" }) })
  }

  /// Reads a nested mapping; a missing one reads as empty, so its own defaults and requirements apply.
  func section<T>(_ key: String, _ body: (RecipeReader) throws(RecipeError) -> T) throws(RecipeError) -> T {
    known.insert(key)
    let empty = Node([(Node, Node)]())
    let reader = try RecipeReader(
      file: file, path: full(key), node: unread.removeValue(forKey: key) ?? empty, line: line(of: key) ?? line)
    let value = try body(reader)
    try reader.finish()
    resolved.append((Node(key), reader.resolvedNode))
    return value
  }

  /// - Throws: if a key was not read: it is unknown, most likely misspelled.
  func finish() throws(RecipeError) {
    guard let key = unread.keys.min() else { return }
    throw error(key, "unknown key (known here: \(known.sorted().joined(separator: ", ")))")
  }

  /// Everything that was read, as YAML.
  var yaml: String {
    (try? Yams.serialize(node: resolvedNode, sortKeys: false)) ?? ""
  }

  private var resolvedNode: Node { Node(resolved, .implicit, .block) }

  private static func list<T>(_ node: Node, _ convert: (Node) -> T?) -> [T]? {
    guard let sequence = node.sequence else { return nil }
    let values = sequence.compactMap(convert)
    return values.count == sequence.count ? values : nil
  }

  private static func flow(_ items: [String]) -> Node { Node(items.map { Node($0) }, .implicit, .flow) }
}
