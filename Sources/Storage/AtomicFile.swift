import Foundation

/// Replaces a file as a whole: readers, and runs resumed after a kill or a power cut, see the old file or the new one.
package enum AtomicFile {
  /// Writes a temporary file beside `path`, syncs it, renames it over `path`, and syncs the directory.
  ///
  /// When `body` or the system fails, the temporary is removed and `path` is untouched. A process that is killed leaves
  /// its temporary (`.NAME.partial-…`) behind; the next write of the same `path` removes it.
  /// - Parameter bytes: the expected size, for the message on a full disk.
  package static func write(
    to path: String, expecting bytes: Int = 0, _ body: (inout FileWriter) throws(StorageError) -> Void
  ) throws(StorageError) {
    let slash = path.lastIndex(of: "/")
    let directory = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let prefix = ".\(slash.map { String(path[path.index(after: $0)...]) } ?? path).partial-"
    removeLeftovers(in: directory, prefix: prefix)

    let temporary = "\(directory)/\(prefix)\(String(UInt64.random(in: 0...UInt64.max), radix: 36))"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw .writing(path, action: "create", bytes: bytes) }
    do throws(StorageError) {
      defer { close(descriptor) }
      // Held until the process ends or the descriptor closes; tells a live temporary from a leftover.
      _ = flock(descriptor, LOCK_EX | LOCK_NB)
      var writer = FileWriter(descriptor: descriptor, path: path, expecting: bytes)
      try body(&writer)
      guard fsync(descriptor) == 0 else { throw .writing(path, action: "sync", bytes: max(bytes, writer.written)) }
      guard rename(temporary, path) == 0 else { throw .writing(path, action: "rename into place", bytes: bytes) }
    } catch {
      unlink(temporary)
      throw error
    }
    try sync(directory: directory)
  }

  private static func sync(directory: String) throws(StorageError) {
    let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .system(action: "open", path: directory, code: errno) }
    defer { close(descriptor) }
    // EINVAL: a file system that has no notion of syncing a directory.
    guard fsync(descriptor) == 0 || errno == EINVAL else {
      throw .system(action: "sync", path: directory, code: errno)
    }
  }

  private static func removeLeftovers(in directory: String, prefix: String) {
    for name in (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? [] where name.hasPrefix(prefix) {
      let leftover = "\(directory)/\(name)"
      let descriptor = open(leftover, O_WRONLY | O_CLOEXEC)
      guard descriptor >= 0 else { continue }
      if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { unlink(leftover) }
      close(descriptor)
    }
  }
}

/// Writes to an open file descriptor, unbuffered, and names `path` when that fails.
package struct FileWriter: ~Copyable {
  private let descriptor: Int32
  private let path: String
  private let expected: Int
  package private(set) var written = 0

  package init(descriptor: Int32, path: String, expecting bytes: Int = 0) {
    self.descriptor = descriptor
    self.path = path
    expected = bytes
  }

  package mutating func write(_ bytes: UnsafeRawBufferPointer) throws(StorageError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = Foundation.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw .writing(path, bytes: max(expected, written + rest.count)) }
      written += count
      rest = rest.dropFirst(count)
    }
  }

  package mutating func write<Element: BitwiseCopyable>(_ values: [Element]) throws(StorageError) {
    try values.withUnsafeBufferPointer { buffer throws(StorageError) in try write(UnsafeRawBufferPointer(buffer)) }
  }
}
