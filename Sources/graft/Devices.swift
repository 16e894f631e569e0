import ArgumentParser
import GPU

struct Devices: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "List the Vulkan devices and which one would run.")

  func run() throws {
    let snapshots = try Instance().snapshots()
    let chosen = try? DevicePlan(choosing: nil, from: snapshots)
    for device in snapshots {
      let mark = device == chosen?.snapshot ? "*" : " "
      let memory = device.heaps.filter(\.isDeviceLocal).reduce(0) { $0 + $1.bytes } >> 20
      print(
        "\(mark) \(device.index): \(device.name) (\(device.kind.rawValue)), driver \(device.driverName) "
          + "\(device.driverInfo), Vulkan \(device.version.map(String.init).joined(separator: ".")), "
          + "subgroups of \(device.subgroups.size), \(memory) MiB")
    }
  }
}

/// Options of every command that computes.
struct DeviceOptions: ParsableArguments {
  @Option(help: "Index or part of the name of the device; the fastest kind by default (see graft devices).")
  var device: String?

  /// Opens the device and says which one runs.
  func open() throws -> Device {
    let opened = try Device.open(device)
    let snapshot = opened.snapshot
    let kind = snapshot.kind == .cpu ? "software" : snapshot.kind.rawValue
    print("device: \(snapshot.name), driver \(snapshot.driverName) \(snapshot.driverInfo) (\(kind))")
    return opened
  }
}
