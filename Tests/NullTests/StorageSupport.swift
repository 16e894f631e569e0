import Foundation
import Testing

@testable import Storage

/// A directory that goes with its test.
final class TemporaryDirectory: Sendable {
  let path: String

  init() throws {
    path = FileManager.default.temporaryDirectory.path + "/graft-storage-\(UInt64.random(in: 0...UInt64.max))"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String, _ bytes: [UInt8]? = nil) throws -> String {
    let file = "\(path)/\(name)"
    if let bytes { try Data(bytes).write(to: URL(fileURLWithPath: file)) }
    return file
  }

  /// Names of all files, also hidden ones.
  var names: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }
  }
}

func bytes(of path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(fileURLWithPath: path))) }

/// The error of `body`, checked to be one line that names the file.
func storageError(naming path: String, _ body: () throws -> Void) -> StorageError? {
  do {
    try body()
    return nil
  } catch {
    let text = "\(error)"
    #expect(text.contains(path) && !text.contains("\n"), "\(text)")
    return error as? StorageError
  }
}

extension StorageError {
  var isTruncated: Bool { if case .truncated = self { true } else { false } }
  var isCorrupt: Bool { if case .corrupt = self { true } else { false } }
  var isForeign: Bool { if case .foreign = self { true } else { false } }
  var isMissing: Bool { if case .missing = self { true } else { false } }
}
