import Foundation
import GPU
import Synchronization
import Testing

/// The device that tests run on, opened with validation; any validation message fails the test that caused it.
///
/// `GRAFT_DEVICE` chooses it (an index or part of a name); `GRAFT_VALIDATION=0` does without the validation layer.
package enum TestDevice {
  /// One of two, and on a thread always the same: a software driver compiles all kernels of a device on one core.
  package static var shared: Result<Device, VulkanError> {
    let key = "graft device"
    let thread = Thread.current.threadDictionary
    let turn = thread[key] as? Int ?? turns.add(1, ordering: .relaxed).oldValue
    thread[key] = turn
    return turn % 2 == 0 ? even : odd
  }

  private static let turns = Atomic(0)
  private static let even = Result { () throws(VulkanError) in try open() }
  private static let odd = Result { () throws(VulkanError) in try open() }

  /// A device of its own, for a test that counts calls.
  package static func open(_ precision: Precision = .f32) throws(VulkanError) -> Device {
    let instance = try Instance(validation: validates) { Issue.record("validation: \($0)") }
    let plan = try DevicePlan(choosing: name, from: try instance.snapshots(), precision: precision)
    return try Device(plan: plan, instance: instance)
  }

  /// The device in mixed precision; `hasMatrixUnits` says whether that makes a difference.
  package static let mixed = Result { () throws(VulkanError) in try open(.mixed) }
  package static let noMatrixUnits: Comment = "no cooperative matrices of f16 with sums in f32"
  package static var hasMatrixUnits: Bool { (try? mixed.get())?.traits.matrixUnit != nil }

  package static let name = ProcessInfo.processInfo.environment["GRAFT_DEVICE"]
  package static let validates = ProcessInfo.processInfo.environment["GRAFT_VALIDATION"] != "0"

  package static var isPresent: Bool { (try? shared.get()) != nil }

  /// Of Mesa's software driver; nil for others.
  package static var vectorBits: Int? { (try? shared.get())?.snapshot.vectorBits }
  package static let isNotMesas: Comment = "only Mesa's software driver compiles at the first dispatch"

  /// Why tests are skipped that need a device.
  package static var absence: Comment {
    switch shared {
    case .success: "a device is present"
    case .failure(let error): "\(error)"
    }
  }
}
