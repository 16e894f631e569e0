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

  /// Adds a line and hands it to the system, so it outlives this process. Not-a-number and infinity are written as the
  /// strings "nan", "inf" and "-inf", which `rows` reads back.
  package func append(_ row: some Encodable) throws(StorageError) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy =
      .convertToString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    guard let line = try? encoder.encode(row) else { throw .invalid("\(path): cannot encode \(row) as JSON") }

    let descriptor = try open(O_WRONLY | O_APPEND | O_CREAT)
    defer { close(descriptor) }
    let end = lseek(descriptor, 0, SEEK_END)
    var writer = FileWriter(descriptor: descriptor, path: path)
    do throws(StorageError) {
      try writer.write([UInt8](line) + [newline])
    } catch {
      _ = ftruncate(descriptor, end)
      throw error
    }
  }

  package func rows<Row: Decodable>(as type: Row.Type = Row.self) throws(StorageError) -> [Row] {
    var rows: [Row] = []
    try visit { (row: Row, _) in
      rows.append(row)
      return true
    }
    return rows
  }

  /// Removes the first row for which `isPast` is true and all that follow it: what a run wrote after the checkpoint
  /// that it is resumed from.
  package func truncate<Row: Decodable>(
    _ type: Row.Type = Row.self, from isPast: (Row) -> Bool
  ) throws(StorageError) {
    var end = 0
    let count = try visit { (row: Row, next) in
      guard !isPast(row) else { return false }
      end = next
      return true
    }
    let descriptor = try open(O_WRONLY)
    defer { close(descriptor) }
    try truncate(descriptor, to: end, of: count)
  }

  /// Calls `body` with each whole line's row and the offset of its end until it returns false; returns the file's size.
  @discardableResult
  private func visit<Row: Decodable>(_ body: (Row, Int) -> Bool) throws(StorageError) -> Int {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy =
      .convertFromString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return try MappedFile(path).withBytes { bytes throws(StorageError) in
      var (start, line) = (0, 1)
      while let end = bytes[start...].firstIndex(of: newline) {
        guard let row = try? decoder.decode(Row.self, from: Data(bytes[start..<end])) else {
          throw .unsupported(path: path, detail: "line \(line) is not a row of \(Row.self); mend or remove it")
        }
        guard body(row, end + 1) else { break }
        (start, line) = (end + 1, line + 1)
      }
      return bytes.count
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
