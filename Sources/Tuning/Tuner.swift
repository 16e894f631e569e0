import Foundation
import GPU
import Graph
import Storage

/// Chooses kernels by measuring: at each site the fastest variant that computes the right result.
package struct Tuner {
  package struct Settings: Sendable {
    /// When they are over, no further variant is begun, and what was not reached keeps its default.
    package var seconds = 16.0
    /// A candidate that takes longer than this many times the default's time at its first sample is left.
    package var hopeless = 1.5
    /// How much faster than the default a variant must be to replace it, as a fraction of the default's time.
    package var advantage = 0.03
    /// A run that takes longer than these seconds counts as hung.
    package var patience = 30.0
    package init() {}
  }

  package struct Report: Sendable {
    package fileprivate(set) var choices = Choices.defaults
    /// Sites with a choice, and how many of them were decided by what was measured now.
    package fileprivate(set) var sites = 0
    package fileprivate(set) var measured = 0
    package fileprivate(set) var seconds = 0.0
  }

  package let device: Device
  package let directory: URL
  package let settings: Settings
  private let notice: (String) -> Void
  private let isStopped: () -> Bool

  /// - Parameters:
  ///   - directory: of the `TuningStore`.
  ///   - isStopped: asked between measurements; true ends them, with what was measured kept.
  ///   - notice: gets lines for a person: a store that cannot be used, another process that measures.
  package init(
    _ device: Device, directory: URL = PipelineFile.userDirectory, settings: Settings = Settings(),
    isStopped: @escaping () -> Bool = { false }, notice: @escaping (String) -> Void
  ) {
    self.device = device
    self.directory = directory
    self.settings = settings
    self.isStopped = isStopped
    self.notice = notice
  }

  /// A choice for every site of the programs that has one, the default where nothing else is known to be better.
  /// - Parameters:
  ///   - programs: with how often each one will run: what takes the most time is measured first.
  ///   - decided: choices that stand, whatever was measured.
  ///   - anew: forgets what was measured of these sites' kernels before.
  /// - Throws: if it was stopped, or a variant took the device with it; the next call does not try that one again.
  package func choose(
    for programs: [(program: Program, runs: Int)], decided: Choices = .defaults, anew: Bool = false
  ) throws(TuningError) -> Report {
    var begin = ContinuousClock.now
    let sites = TuningSite.of(programs, traits: device.traits).filter { decided.names[$0.key] == nil }
    var report = Report()
    report.choices = decided
    report.sites = sites.count
    var store = TuningStore(device.snapshot, device.traits.precision, directory: directory, notice: notice)
    func isKnown(_ site: TuningSite) -> Bool { store.chosen(at: site) != nil }
    if anew || !sites.allSatisfy(isKnown) {
      let lock = lock(store)
      begin = .now
      // Another process may have measured while this one waited.
      store = TuningStore(device.snapshot, device.traits.precision, directory: directory) { _ in }
      if let lost = lock?.interrupted {
        store.reject(lost.variant, lost.key, lost.fingerprint, "the process or the device ended while it ran")
        lock?.end()
      }
      if anew {
        let codes = Set(sites.map(\.fingerprint))
        store.records = store.records.filter { !codes.contains($0.value.fingerprint) }
      }
      var measurement = Measurement(
        device: device, settings: settings, lock: lock, deadline: begin.advanced(by: .seconds(settings.seconds)))
      for site in sites where !isKnown(site) {
        guard !isStopped() else {
          save(store)
          throw TuningError.stopped
        }
        let fatal = store.fatalTrials(site.key, site.fingerprint)
        if let record = store.record(like: site), !fatal.contains(where: { $0.name == record.chosen }) {
          store.records[site.key] = record
          report.measured += 1
          continue
        }
        do throws(TuningError) {
          let record = try measurement.record(site, known: fatal)
          store.records[site.key] = record
          report.measured += record.isMeasured ? 1 : 0
        } catch {
          if let variant = error.variant { store.reject(variant, site.key, site.fingerprint, error.reason) }
          lock?.end()
          save(store)
          throw error
        }
      }
      save(store)
    }
    for site in sites { report.choices.names[site.key] = store.chosen(at: site) ?? site.variants[0].name }
    report.seconds = begin.duration(to: .now) / .seconds(1)
    return report
  }

  private func lock(_ store: TuningStore) -> TuningLock? {
    // Without a lock there will be no file either, which `save` says.
    try? TuningLock(store.path + ".lock") { notice("another process measures kernels on this device; waiting for it") }
  }

  private func save(_ store: TuningStore) {
    do throws(StorageError) { try store.save() } catch { notice("measured kernels are not kept: \(error)") }
  }
}

/// Measuring was stopped, or a variant took the device with it.
package struct TuningError: Error, Sendable, CustomStringConvertible {
  /// The variant that did, nil where none was running.
  let variant: String?
  let reason: String
  package let description: String

  package let wasStopped: Bool

  static let stopped = TuningError(
    wasStopped: true, description: "stopped while kernels were measured, before the first step")

  private init(wasStopped: Bool = false, description: String) {
    variant = nil
    reason = ""
    self.wasStopped = wasStopped
    self.description = description
  }

  init(_ site: TuningSite, _ variant: Variant, _ reason: String) {
    self.variant = variant.name
    self.reason = reason
    wasStopped = false
    description =
      "measuring kernels: '\(variant.name)' of \(site.op.name) at \(site.site.inputs.map(\.description).joined(separator: " ")) "
      + "\(reason); it will not be tried again, so start again, or do without measuring with --no-tune"
  }

  init(_ site: TuningSite, lostBeforeAnyVariant function: String) {
    self.init(
      description:
        "measuring kernels: the device was lost (\(function)) before \(site.op.name) ran; start again, or do without "
        + "measuring with --no-tune")
  }
}

extension TuningStore {
  /// What was chosen at a site, if it was measured to the end with the kernels that this process has.
  func chosen(at site: TuningSite) -> String? {
    guard let record = records[site.key], record.fingerprint == site.fingerprint, let chosen = record.chosen,
      site.variants.contains(where: { $0.name == chosen })
    else { return nil }
    return chosen
  }

  /// Trials that must not be repeated.
  func fatalTrials(_ key: String, _ fingerprint: String) -> [Trial] {
    guard let record = records[key], record.fingerprint == fingerprint else { return [] }
    return record.trials.filter { $0.isFatal == true }
  }

  /// Notes that a variant must not be tried again. The site counts as not yet measured.
  mutating func reject(_ variant: String, _ key: String, _ fingerprint: String, _ reason: String) {
    var trials = fatalTrials(key, fingerprint).filter { $0.name != variant }
    trials.append(Trial(name: variant, rejected: reason, isFatal: true))
    records[key] = Record(fingerprint: fingerprint, extents: [], date: now(), trials: trials)
  }

  /// What a similar site's measurements say of a site; of several the one with the first key.
  func record(like site: TuningSite) -> Record? {
    let similar = records.filter { site.isLike($0.value) }.min { $0.key < $1.key }
    return similar.map { key, record in
      Record(
        fingerprint: site.fingerprint, extents: site.extents, chosen: record.chosen, like: key, date: record.date)
    }
  }
}

func now() -> String { ISO8601DateFormatter().string(from: Date()) }
