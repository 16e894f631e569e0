import Foundation
import GPU
import Storage

/// The width of the vectors, in bits, that Mesa's software driver computes with; 32 bits of it are a lane of a subgroup.
///
/// The driver reads a variable of the environment when a process first lists its devices. Without it, it takes 256 at most,
/// because some processors are slower with 512: which of them are is measured.
package enum VectorWidth {
  package static let variable = "LP_NATIVE_VECTOR_WIDTH"
  /// Those that there are.
  package static let known = [128, 256, 512]

  /// Whether the environment says a width; the driver takes an empty text for none.
  package static var isSet: Bool { ProcessInfo.processInfo.environment[variable]?.isEmpty == false }

  /// What is asked for.
  package enum Wish: Sendable, Hashable {
    /// What the driver takes by itself.
    case driversOwn
    /// What a run began with.
    case bits(Int)
    /// The faster one, as far as it was measured.
    case known
    /// The faster one, to be measured where it was not.
    case measured
    /// The faster one, to be measured.
    case measuredAnew

    fileprivate var looks: Bool { self == .known || self == .measured }
  }

  enum Decision: Sendable, Hashable {
    case leave
    case take(Int)
    case measure
  }

  /// - Parameters:
  ///   - set: what the environment says; a person has the last word.
  ///   - record: what was measured with this driver on this processor.
  static func decision(_ wish: Wish, set: String?, record: WidthStore.Record?, on processor: Processor) -> Decision {
    guard set == nil else { return .leave }
    switch wish {
    case .driversOwn: return .leave
    case .bits(let bits): return .take(bits)
    case .known, .measured, .measuredAnew:
      if wish.looks, let record { return record.chosen.map(Decision.take) ?? .leave }
      return wish != .known && processor.has512Bits ? .measure : .leave
    }
  }

  /// Decides, and puts the decision into this process's environment; to be called before anything else of Vulkan.
  /// - Parameters:
  ///   - device: what the command was asked to run on.
  ///   - kernels: changes with what the trial would run; what was measured before a change is measured again.
  ///   - notice: gets lines for a person.
  package static func settle(
    _ wish: Wish, device: String?, kernels: @autoclosure () -> String, directory: URL = PipelineFile.userDirectory,
    notice: (String) -> Void
  ) -> Settled {
    let store = WidthStore(directory: directory, environment: ProcessInfo.processInfo.environment)
    let set = isSet ? ProcessInfo.processInfo.environment[variable] : nil
    func kept(notice: (String) -> Void) -> WidthStore.Record? {
      store.record(for: device, notice: notice).flatMap { $0.kernels == kernels() ? $0 : nil }
    }
    let record = set == nil && wish.looks ? kept(notice: notice) : nil
    var decision = decision(wish, set: set, record: record, on: .current)
    var settled = Settled(store: store, device: device, driver: record?.driver)
    if decision == .measure {
      let begin = ContinuousClock.now
      let lock = store.lock { notice("another process measures vector widths; waiting for it") }
      // It may have done so for this one, too.
      let record = wish == .measured ? kept { _ in } : nil
      if let record = record ?? WidthTrial.record(device: device, kernels: kernels()) {
        store.keep(record, for: device, notice: notice)
        if let text = record.text { notice(text) }
        settled.driver = record.driver
        decision = record.chosen.map(Decision.take) ?? .leave
      }
      withExtendedLifetime(lock) {}
      settled.seconds = begin.duration(to: .now) / .seconds(1)
    }
    if case .take(let bits) = decision {
      setenv(variable, String(bits), 1)
      settled.isChosen = true
    }
    return settled
  }

  /// What came of `settle`.
  package struct Settled {
    fileprivate let store: WidthStore
    fileprivate let device: String?
    /// The driver that the record is of, if one was used.
    fileprivate(set) var driver: String?
    /// Whether the width is not the driver's own.
    package fileprivate(set) var isChosen = false
    /// That measuring took.
    package fileprivate(set) var seconds = 0.0

    /// Forgets what was measured with another driver than the one that was opened, which shows only now.
    package func check(_ opened: DeviceSnapshot, notice: (String) -> Void) {
      guard let driver, driver != WidthStore.driver(of: opened) else { return }
      store.keep(nil, for: device, notice: notice)
    }
  }
}
