import Foundation
import GPU
import Storage

/// What was measured of vector widths on one processor: a file in the user's cache directory.
///
/// It is read before there is a driver to ask, so it is one file for each processor and each way in which the environment
/// chooses drivers, and a record names the driver that was found then.
struct WidthStore: Sendable {
  struct Trial: Codable, Sendable, Hashable {
    var bits: Int
    /// Of a step, the best and the median.
    var bestSeconds: Double?
    var medianSeconds: Double?
    /// Why it cannot be chosen.
    var rejected: String?
  }

  struct Record: Codable, Sendable, Hashable {
    var driver: String
    /// Fingerprint of what was timed.
    var kernels: String
    /// Nil for what the driver takes by itself, and for drivers that are not Mesa's software driver.
    var chosen: Int?
    var date: String
    /// The first is the driver's own width.
    var trials: [Trial] = []

    fileprivate var isSound: Bool { chosen.map(VectorWidth.known.contains) ?? true }

    /// What came of it, for a person; nil where there was nothing to compare.
    var text: String? {
      guard trials.count == 2 else { return nil }
      let (own, other) = (trials[0], trials[1])
      if let reason = other.rejected {
        return "vectors of \(other.bits) bits are left out: \(reason); graft run --retune tries them again"
      }
      guard let a = own.medianSeconds, let b = other.medianSeconds else { return nil }
      return String(
        format: "a step with vectors of %d bits is %.2f times as fast as with %d: %d it is", other.bits, a / b,
        own.bits, chosen ?? own.bits)
    }
  }

  private let file: RecordFile<Record>

  init(directory: URL, environment: [String: String], processor: Processor = .current) {
    let drivers = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES", "VK_ADD_DRIVER_FILES", "VK_LOADER_DRIVERS_SELECT"]
      .compactMap { name in environment[name].map { "\(name)=\($0)" } }
    let subject = ([processor.description] + drivers).joined(separator: ", ")
    file = RecordFile("width", of: subject, contents: "vector widths", in: directory)
  }

  var path: String { file.path }

  /// - Parameter device: what the command was asked to run on.
  func record(for device: String?, notice: (String) -> Void) -> Record? {
    file.read(notice: notice)[device ?? ""].flatMap { $0.isSound ? $0 : nil }
  }

  /// Replaces or removes a record.
  func keep(_ record: Record?, for device: String?, notice: (String) -> Void) {
    var records = file.read { _ in }
    records[device ?? ""] = record
    do throws(StorageError) { try file.write(records) } catch { notice("the vector width is not kept: \(error)") }
  }

  /// Held while measuring; its directory is made.
  func lock(waiting: () -> Void) -> TuningLock? { try? TuningLock(path + ".lock", waiting: waiting) }

  static func driver(of device: DeviceSnapshot) -> String { TuningStore.driver(of: device) }
}
