import Foundation
import GPU
import Testing

/// The device that all model tests share, opened with validation; any validation message fails the test that caused it.
///
/// `GRAFT_DEVICE` chooses it (an index or part of a name); `GRAFT_VALIDATION=0` does without the validation layer.
enum ModelDevice {
  static let shared: Result<Device, VulkanError> = Result { () throws(VulkanError) in
    let environment = ProcessInfo.processInfo.environment
    let instance = try Instance(validation: environment["GRAFT_VALIDATION"] != "0") {
      Issue.record("validation: \($0)")
    }
    let plan = try DevicePlan(choosing: environment["GRAFT_DEVICE"], from: try instance.snapshots())
    return try Device(plan: plan, instance: instance)
  }

  static var isPresent: Bool { (try? shared.get()) != nil }
}

/// A directory that is removed with the value.
final class TemporaryDirectory {
  let path: String

  init() throws {
    path = FileManager.default.temporaryDirectory.appendingPathComponent("graft-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String) -> String { "\(path)/\(name)" }
}
