import Foundation
import Storage

/// A JSON file of records in the user's cache directory, replaced as a whole. One that cannot be used is as good as none: what
/// it held is measured again.
struct RecordFile<Record: Codable & Sendable>: Sendable {
  let path: String
  /// What the records are of; those of something else are not used.
  let subject: String
  /// What is measured again where the file cannot be used, for the notice.
  let contents: String

  private struct Document: Codable {
    var format: Int
    var device: String
    var records: [String: Record]
  }

  private struct Format: Decodable { var format: Int }

  private static var format: Int { 1 }

  /// - Parameter salt: tells subjects apart whose texts are equal.
  init(_ stem: String, of subject: String, salt: [UInt8] = [], contents: String, in directory: URL) {
    let name = "\(stem)-\(String(TuningStore.hash(subject.utf8 + salt), radix: 16)).json"
    path = directory.appendingPathComponent(name).path
    self.subject = subject
    self.contents = contents
  }

  /// The records, none if there is no file.
  /// - Parameter notice: gets one line if the file is there and cannot be used.
  func read(notice: (String) -> Void) -> [String: Record] {
    guard let data = FileManager.default.contents(atPath: path) else { return [:] }
    let decoder = JSONDecoder()
    guard let format = try? decoder.decode(Format.self, from: data).format else {
      notice("\(path) is damaged: \(contents) are measured again")
      return [:]
    }
    guard format == Self.format, let document = try? decoder.decode(Document.self, from: data),
      document.device == subject
    else {
      notice("\(path) is of another version: \(contents) are measured again")
      return [:]
    }
    return document.records
  }

  /// Writes the file; its directory must be there.
  func write(_ records: [String: Record]) throws(StorageError) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let document = Document(format: Self.format, device: subject, records: records)
    guard let data = try? encoder.encode(document) else { throw .invalid("\(path): a time is not a number") }
    try AtomicFile.write(to: path, expecting: data.count) { (file) throws(StorageError) in
      try file.write(Array(data))
    }
  }
}
