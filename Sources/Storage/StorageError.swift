import Foundation

/// What can go wrong with a file, said in one line: which file, what about it, what to do.
package enum StorageError: Error, Sendable, Equatable {
  case missing(path: String, advice: String)
  /// A system call failed; `code` is its `errno`.
  case system(action: String, path: String, code: Int32)
  case noSpace(path: String, bytes: Int)
  /// The file ends before its own header says it does.
  case truncated(path: String, detail: String)
  /// The file is of the expected kind and contradicts itself or its checksum.
  case corrupt(path: String, detail: String)
  /// The file is of another kind.
  case foreign(path: String, expected: String, found: String)
  case noTensor(name: String, path: String, available: Int)
  case unsupported(path: String, detail: String)
  /// The caller asked for something that cannot be stored or drawn.
  case invalid(String)
}

extension StorageError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .missing(let path, let advice): "\(path): no such file; \(advice)"
    case .system(let action, let path, let code):
      "\(path): cannot \(action): \(String(cString: strerror(code))) (errno \(code))\(Self.advice(code))"
    case .noSpace(let path, let bytes):
      "no space left on device while writing \(path) (needs about \(max(1, (bytes + 1 << 20 - 1) >> 20)) MiB); "
        + "free some or write elsewhere, what was stored before is untouched"
    case .truncated(let path, let detail): "\(path): truncated: \(detail); copy or write it again"
    case .corrupt(let path, let detail): "\(path): corrupt: \(detail); copy or write it again"
    case .foreign(let path, let expected, let found): "\(path): not \(expected): \(found)"
    case .noTensor(let name, let path, let available):
      "\(path): no tensor named \(Self.quoted(name)) among its \(available); check that model and file belong together"
    case .unsupported(let path, let detail): "\(path): \(detail)"
    case .invalid(let detail): detail
    }
  }

  /// Names out of a file may hold line breaks or megabytes; an error stays one line.
  package static func quoted(_ name: String) -> String {
    name.count <= 120 ? name.debugDescription : String(name.prefix(120)).debugDescription + "…"
  }

  private static func advice(_ code: Int32) -> String {
    switch code {
    case ENOENT: "; create its directory first"
    case EACCES, EPERM, EROFS: "; check the permissions or write elsewhere"
    case EFBIG: "; raise the file size limit (ulimit -f)"
    default: ""
    }
  }
}

extension StorageError {
  /// The error for a write that failed with the current `errno`; `bytes` is the size the file was to have.
  static func writing(_ path: String, action: String = "write", bytes: Int) -> StorageError {
    let code = errno
    return code == ENOSPC || code == EDQUOT
      ? .noSpace(path: path, bytes: bytes) : .system(action: action, path: path, code: code)
  }
}
