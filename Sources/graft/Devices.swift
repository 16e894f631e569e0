import ArgumentParser
import GPU
import Tuning

struct Devices: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "List the Vulkan devices and which one would run.")

  func run() throws {
    let isSet = VectorWidth.isSet
    let width = VectorWidth.settle(.known, device: nil, notice: note)
    let snapshots = try Instance().snapshots()
    let chosen = try? DevicePlan(choosing: nil, from: snapshots)
    for device in snapshots {
      let mark = device == chosen?.snapshot ? "*" : " "
      let origin = isSet ? "set by \(VectorWidth.variable)" : width.isChosen ? "measured" : "the driver's own"
      let vectors = device.vectorBits.map { ", vectors of \($0) bits (\(origin))" } ?? ""
      let memory = device.heaps.filter(\.isDeviceLocal).reduce(0) { $0 + $1.bytes } >> 20
      print(
        "\(mark) \(device.index): \(device.name) (\(device.kind.rawValue)), driver \(device.driverName) "
          + "\(device.driverInfo), Vulkan \(device.version.map(String.init).joined(separator: ".")), "
          + "subgroups of \(device.subgroups.size)\(vectors), \(memory) MiB")
    }
  }
}

/// Options of every command that computes.
struct DeviceOptions: ParsableArguments {
  @Option(help: "Index or part of the name of the device; the fastest kind by default (see graft devices).")
  var device: String?

  /// Opens the device and says which one runs; a software driver computes with vectors of the width that is wished.
  func open(_ wish: VectorWidth.Wish, _ precision: Precision = .f32) throws -> Device {
    try open(settle(wish), precision)
  }

  /// The first half of `open`.
  func settle(_ wish: VectorWidth.Wish) -> VectorWidth.Settled {
    VectorWidth.settle(wish, device: device, notice: note)
  }

  /// The second half.
  func open(_ width: VectorWidth.Settled, _ precision: Precision) throws -> Device {
    let opened = try Device.open(device, precision: precision)
    let snapshot = opened.snapshot
    width.check(snapshot, notice: note)
    let kind = snapshot.kind == .cpu ? "software" : snapshot.kind.rawValue
    print("device: \(snapshot.name), driver \(snapshot.driverName) \(snapshot.driverInfo) (\(kind))")
    if let text = opened.precisionNote(asked: precision) { note(text) }
    return opened
  }
}
