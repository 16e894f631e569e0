import CZlib
import Foundation
import Storage

/// An array of unsigned bytes in LeCun's IDX format (yann.lecun.com/exdb/mnist), gzip-compressed or plain.
///
/// Big-endian: 0x00 0x00, type 0x08, number of dimensions, each dimension as UInt32, then the elements, row-major.
package struct IDXFile: Sendable {
  package let dimensions: [Int]
  package let bytes: [UInt8]

  /// - Parameter advice: what to do when there is no such file.
  package init(reading path: String, advice: String = "check the path") throws(StorageError) {
    var stream = try GzipStream(path, advice: advice)
    let magic = try stream.read(4)
    guard magic.count == 4 else {
      throw .truncated(path: path, detail: "\(magic.count) bytes, where the magic takes 4")
    }
    guard magic[0] == 0, magic[1] == 0, magic[2] == 0x08, 1...4 ~= magic[3] else {
      let found = magic.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
      throw .foreign(
        path: path, expected: "an IDX file of bytes",
        found: "it begins with \(found), not 00 00 08 and 1 to 4 dimensions")
    }
    let rank = Int(magic[3])
    let sizes = try stream.read(4 * rank)
    guard sizes.count == 4 * rank else { throw .truncated(path: path, detail: "it ends within its \(rank) dimensions") }
    dimensions = (0..<rank).map { axis in sizes[4 * axis..<4 * axis + 4].reduce(0) { $0 << 8 | Int($1) } }

    guard let count = dimensions.product, count < Int.max else {
      throw .corrupt(path: path, detail: "dimensions \(dimensions) overflow")
    }
    // One more is asked for: it makes zlib check the CRC at the end, and tells a file that is too long.
    bytes = try stream.read(count + 1)
    guard bytes.count >= count else {
      throw .truncated(path: path, detail: "\(bytes.count) of \(count) elements for dimensions \(dimensions)")
    }
    guard bytes.count == count else {
      throw .corrupt(path: path, detail: "more than the \(count) elements of \(dimensions)")
    }
  }
}

private struct GzipStream: ~Copyable {
  private let path: String
  private let file: gzFile

  init(_ path: String, advice: String) throws(StorageError) {
    errno = 0
    guard let file = gzopen(path, "rb") else {
      let code = errno == 0 ? ENOMEM : errno
      throw code == ENOENT ? .missing(path: path, advice: advice) : .system(action: "open", path: path, code: code)
    }
    self.path = path
    self.file = file
  }

  deinit { gzclose_r(file) }

  /// `count` bytes, or what is left. Memory grows with what is there, not with what a corrupt header promises.
  mutating func read(_ count: Int) throws(StorageError) -> [UInt8] {
    var result: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: min(count, 1 << 20))
    while result.count < count {
      let read = gzread(file, &chunk, UInt32(min(chunk.count, count - result.count)))
      var code: Int32 = 0
      let message = gzerror(file, &code).map { String(cString: $0) } ?? ""
      // zlib says Z_BUF_ERROR where a gzip stream breaks off.
      if code == Z_BUF_ERROR { throw .truncated(path: path, detail: "the gzip stream breaks off") }
      if code == Z_ERRNO { throw .system(action: "read", path: path, code: errno) }
      // The message repeats the path first.
      guard read >= 0 else {
        throw .corrupt(
          path: path, detail: "gzip: \(message.hasPrefix(path) ? String(message.dropFirst(path.count + 2)) : message)")
      }
      if read == 0 { break }
      result += chunk[..<Int(read)]
    }
    return result
  }
}
