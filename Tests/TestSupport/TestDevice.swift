import Foundation
import GPU
import Testing

/// The device that tests run on, opened with validation; any validation message fails the test that caused it.
///
/// `GRAFT_DEVICE` chooses it (an index or part of a name); `GRAFT_VALIDATION=0` does without the validation layer.
package enum TestDevice {
  package static let shared: Result<Device, VulkanError> = Result { () throws(VulkanError) in try open() }

  /// A device of its own, for a test that counts calls.
  package static func open() throws(VulkanError) -> Device {
    let instance = try Instance(validation: validates) { Issue.record("validation: \($0)") }
    return try Device(plan: try DevicePlan(choosing: name, from: try instance.snapshots()), instance: instance)
  }

  package static let name = ProcessInfo.processInfo.environment["GRAFT_DEVICE"]
  package static let validates = ProcessInfo.processInfo.environment["GRAFT_VALIDATION"] != "0"

  package static var isPresent: Bool { (try? shared.get()) != nil }

  /// Why tests are skipped that need a device.
  package static var absence: Comment {
    switch shared {
    case .success: "a device is present"
    case .failure(let error): "\(error)"
    }
  }
}
