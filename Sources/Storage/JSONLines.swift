import Foundation

/// A log of one JSON object a line. A line that a kill tore off at the end of the file does not count and is removed.
package struct JSONLines: Sendable {
  package let path: String

  /// Opens or creates the log and removes a torn last line.
  package init(_ path: String) throws(StorageError) {
    self.path = path
    let descriptor = try open(O_WRONLY | O_CREAT)
    defer { close(descriptor) }
    let file = try MappedFile(path)
    try file.withBytes { bytes throws(StorageError) in
      try truncate(descriptor, to: (bytes.lastIndex(of: newline) ?? -1) + 1, of: bytes.count)
    }
  }

  /// Adds a line for each row and hands them to the system, so that they outlive this process. Not-a-number and infinity
  /// are written as the strings "nan", "inf" and "-inf", which `rows` reads back.
  package func append(_ row: some Encodable) throws(StorageError) { try append([row]) }

  package func append(_ rows: [some Encodable]) throws(StorageError) {
    guard !rows.isEmpty else { return }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy =
      .convertToString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    var lines: [UInt8] = []
    for row in rows {
      guard let line = try? encoder.encode(row) else { throw .invalid("\(path): cannot encode \(row) as JSON") }
      lines += line
      lines.append(newline)
    }

    let descriptor = try open(O_WRONLY | O_APPEND | O_CREAT)
    defer { close(descriptor) }
    let end = lseek(descriptor, 0, SEEK_END)
    var writer = FileWriter(descriptor: descriptor, path: path)
    do throws(StorageError) {
      try writer.write(lines)
    } catch {
      _ = ftruncate(descriptor, end)
      throw error
    }
  }

  package func rows<Row: Decodable>(as type: Row.Type = Row.self) throws(StorageError) -> [Row] {
    var rows: [Row] = []
    try visit { (row: Row, _) in rows.append(row) }
    return rows
  }

  /// Removes the rows for which `isPast` is true, all or none: what a run wrote after the checkpoint that it is resumed
  /// from.
  package func remove<Row: Decodable>(where isPast: (Row) -> Bool) throws(StorageError) {
    var kept: [UInt8] = []
    var removed = false
    try visit { (row: Row, line) in
      if isPast(row) { removed = true } else { kept += line }
    }
    guard removed else { return }
    try AtomicFile.write(to: path, expecting: kept.count) { (file) throws(StorageError) in try file.write(kept) }
  }

  /// Calls `body` with each whole line's row and its bytes, newline included.
  private func visit<Row: Decodable>(_ body: (Row, Slice<UnsafeRawBufferPointer>) -> Void) throws(StorageError) {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy =
      .convertFromString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    try MappedFile(path).withBytes { bytes throws(StorageError) in
      var (start, line) = (0, 1)
      while let end = bytes[start...].firstIndex(of: newline) {
        guard let row = try? decoder.decode(Row.self, from: Data(bytes[start..<end])) else {
          throw .unsupported(path: path, detail: "line \(line) is not a row of \(Row.self); mend or remove it")
        }
        body(row, bytes[start...end])
        (start, line) = (end + 1, line + 1)
      }
    }
  }

  private func open(_ flags: Int32) throws(StorageError) -> Int32 {
    let descriptor = Foundation.open(path, flags | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw .system(action: "open", path: path, code: errno) }
    return descriptor
  }

  private func truncate(_ descriptor: Int32, to end: Int, of count: Int) throws(StorageError) {
    guard end == count || ftruncate(descriptor, off_t(end)) == 0 else {
      throw .system(action: "truncate", path: path, code: errno)
    }
  }
}

private let newline = UInt8(ascii: "\n")
