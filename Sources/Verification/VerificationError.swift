/// Why a case could not be recomputed: one line that names the file.
package enum VerificationError: Error, Sendable {
  /// The case is broken, incomplete or contradicts itself.
  case unusable(String)
  /// A case of the reference that is not recomputed.
  case unsupported(group: String, path: String)
  /// The device failed.
  case device(String)
}

extension VerificationError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .unusable(let detail), .device(let detail): detail
    case .unsupported(let group, let path):
      "\(path): cases of group \(group) are not supported; "
        + "groups \(CaseGroup.allCases.map(\.rawValue).joined(separator: ", ")) are"
    }
  }
}
