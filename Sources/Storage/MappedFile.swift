import CZlib
import Foundation

/// A file mapped read-only. `AtomicFile` replaces files and never changes them in place, so a mapping stays valid.
package final class MappedFile: Sendable {
  package let path: String
  /// Unsafe because the compiler cannot know that the memory is read-only and lives until `deinit`, which it does.
  private nonisolated(unsafe) let memory: UnsafeRawBufferPointer

  package init(_ path: String, advice: String = "check the path") throws(StorageError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw errno == ENOENT
        ? .missing(path: path, advice: advice) : .system(action: "open", path: path, code: errno)
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw .system(action: "read", path: path, code: errno) }
    guard status.st_mode & S_IFMT != S_IFDIR else { throw .system(action: "read", path: path, code: EISDIR) }
    self.path = path
    guard status.st_size > 0 else {
      memory = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    guard let start = mmap(nil, Int(status.st_size), PROT_READ, MAP_PRIVATE, descriptor, 0), start != MAP_FAILED else {
      throw .system(action: "map", path: path, code: errno)
    }
    memory = UnsafeRawBufferPointer(start: start, count: Int(status.st_size))
  }

  deinit {
    if let start = memory.baseAddress { munmap(UnsafeMutableRawPointer(mutating: start), memory.count) }
  }

  package var count: Int { memory.count }

  /// The pointer is valid during `body` only.
  package func withBytes<Result, Failure: Error>(
    _ range: Range<Int>? = nil, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try body(UnsafeRawBufferPointer(rebasing: memory[range ?? 0..<memory.count]))
  }
}

/// CRC-32 (ISO 3309, as in gzip) over pieces.
struct CRC32 {
  private var value: UInt = 0

  mutating func add(_ bytes: UnsafeRawBufferPointer) {
    guard let start = bytes.baseAddress else { return }
    value = crc32_z(value, start.assumingMemoryBound(to: UInt8.self), bytes.count)
  }

  /// Eight lowercase hexadecimal digits.
  var digits: String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }
}
