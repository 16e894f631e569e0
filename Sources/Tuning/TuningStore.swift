import Foundation
import GPU
import Graph
import Storage

/// What was measured on one device under one driver: a JSON file in the user's cache directory, replaced as a whole.
///
/// Another device, driver version, precision or, for software, processor has a file of its own. A file that cannot be used is as good
/// as none: what it held is measured again.
package struct TuningStore: Sendable {
  /// What came of one variant.
  package struct Trial: Codable, Sendable, Hashable {
    package var name: String
    /// Of one run, as far as it was measured.
    package var medianSeconds: Double?
    /// Largest |variant - expected|, relative to max(1, largest |expected|); nil where it was not checked, since only what
    /// is faster than the default has to be.
    package var error: Double?
    /// Why it cannot be chosen.
    package var rejected: String?
    /// It took the device or the process with it, and is not tried again.
    package var isFatal: Bool?
  }

  /// What is known of one site.
  package struct Record: Codable, Sendable, Hashable {
    /// Of the variants' kernels: a changed kernel is measured again.
    package var fingerprint: String
    /// Of the inputs.
    package var extents: [[Int]]
    /// The variant to run; nil while the site has not been measured to the end.
    package var chosen: String?
    /// The key of the similar site that was measured in place of this one.
    package var like: String?
    package var date: String
    package var trials: [Trial] = []

    /// Whether this very site was timed.
    var isMeasured: Bool { chosen != nil && trials.contains { $0.medianSeconds != nil } }
  }

  /// Records by `Choices.key`.
  package var records: [String: Record] = [:]
  package let device: String
  private let file: RecordFile<Record>
  package var path: String { file.path }

  /// Reads the file if there is one.
  /// - Parameter notice: gets one line if the file is there and cannot be used.
  package init(
    _ device: DeviceSnapshot, _ precision: Precision = .f32, directory: URL, notice: (String) -> Void
  ) {
    self.device = TuningStore.identity(of: device, precision)
    file = RecordFile("tuning", of: self.device, salt: device.pipelineCacheUUID, contents: "kernels", in: directory)
    records = file.read(notice: notice)
  }

  /// What was chosen at all sites.
  package var choices: Choices { Choices(records.compactMapValues(\.chosen)) }

  /// Writes the file. What another process wrote since `init` is lost; `TuningLock` keeps it from writing.
  package func save() throws(StorageError) { try file.write(records) }

  /// All that a measurement depends on and a kernel does not say.
  private static func identity(of device: DeviceSnapshot, _ precision: Precision) -> String {
    var parts = [
      device.name, driver(of: device),
      "subgroups of \(device.subgroups.size)",
    ]
    if device.kind == .cpu { parts.append(Processor.current.description) }
    if precision == .mixed { parts.append("mixed precision") }
    return parts.joined(separator: ", ")
  }

  static func driver(of device: DeviceSnapshot) -> String {
    "driver \(device.driverName) \(device.driverInfo) (\(device.driverVersion))"
  }

  /// FNV-1a, 64 bits.
  static func hash(_ bytes: some Sequence<UInt8>) -> UInt64 {
    bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }
}

/// Held by the one process that measures on a device, until it is released or the process ends. Its file names the trial in
/// progress, so that the next process knows what the last one did not survive.
final class TuningLock: Sendable {
  /// The trial that the last holder did not come back from.
  let interrupted: (key: String, fingerprint: String, variant: String)?
  private let descriptor: Int32

  /// - Parameters:
  ///   - path: of the lock file; its directory is made if it is missing.
  ///   - waiting: called before waiting for another process.
  init(_ path: String, waiting: () -> Void) throws(StorageError) {
    let directory = (path as NSString).deletingLastPathComponent
    try? FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw .system(action: "open", path: path, code: errno) }
    if flock(descriptor, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
      waiting()
      // Interrupted by a signal or not lockable at all: measuring beside another process is slow and not wrong.
      _ = flock(descriptor, LOCK_EX)
    }
    var text = [UInt8](repeating: 0, count: 1 << 16)
    let count = pread(descriptor, &text, text.count, 0)
    let parts = String(decoding: text.prefix(max(0, count)), as: UTF8.self).split(separator: "\n")
    interrupted = parts.count == 3 ? (String(parts[0]), String(parts[1]), String(parts[2])) : nil
  }

  deinit { close(descriptor) }

  func begin(_ site: TuningSite, _ variant: Variant) {
    let text = Array("\(site.key)\n\(site.fingerprint)\n\(variant.name)\n".utf8)
    ftruncate(descriptor, 0)
    pwrite(descriptor, text, text.count, 0)
  }

  func end() { ftruncate(descriptor, 0) }
}
