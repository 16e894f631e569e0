import ArgumentParser
import Distillation
import Foundation
import GPU
import Kernels

struct KernelsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kernels",
    abstract: "List the kernels that recipes launch on this device; with --stats, what its compiler makes of them.",
    discussion: "With --stats every kernel is compiled and nothing runs, so a driver without hardware will do.")

  @Argument(help: "The recipes.") var recipes = ["recipes/fashion-vmoe.yml"]
  @OptionGroup var options: DeviceOptions
  @Option(help: "f32 or mixed, whatever the recipes say.") var precision: Precision?
  @Flag(help: "Compile, and print registers, spills, shared memory, occupancy, code size and static cycles.")
  var stats = false
  @Flag(help: "Also the kernels of the ops' test cases.") var catalog = false
  @Flag(help: "One row per kernel, the worst of its pipelines; the less important kernels in one row.")
  var worst = false
  @Flag(help: "One JSON object per pipeline and line.") var json = false
  @Flag(
    help: ArgumentHelp(
      "Compile, and say what is wrong: a kernel that does not compile or exceeds a limit, one that matters for "
        + "speed and spills, tiles that leave the device too few subgroups."))
  var check = false

  func run() throws {
    let recipes = try recipes.map { try Recipe(reading: $0) }
    _ = options.settle(.known)
    let instance = try Instance()
    let plan = try DevicePlan(
      choosing: options.device, from: instance.snapshots(), for: stats || check ? .compiling : .running,
      precision: precision ?? (recipes.contains { $0.precision == .mixed } ? .mixed : .f32))
    var list = KernelList(plan.traits)
    for recipe in recipes { try list.add(recipe) }
    if catalog { try list.addCatalog() }
    let device = stats || check ? try Device(plan: plan, instance: instance) : nil
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let rows = try list.uses.map { use in
      let row = KernelRow(use, plan, device)
      if json {
        print(String(decoding: try encoder.encode(row), as: UTF8.self))
        // Line by line: a compiler may end the process.
        fflush(nil)
      }
      return row
    }
    if !json, !check || stats {
      let driver = "\(plan.snapshot.driverName) \(plan.snapshot.driverInfo)"
      print("\(plan.snapshot.name), \(driver), subgroups of \(plan.traits.subgroupSize)\n")
      print((worst ? KernelTable(worstOf: rows) : KernelTable(rows, compiled: device != nil)).text)
    }
    guard check else { return }
    let faults = list.misfits + rows.compactMap { $0.fault(plan) }
    if let first = faults.first {
      for fault in faults.dropFirst() { print(fault) }
      throw KernelFault(
        description: "\(plan.snapshot.name): \(faults.count) faults in \(rows.count) pipelines: \(first)")
    }
    print("\(stats ? "\n" : "")\(plan.snapshot.name): \(rows.count) pipelines, none with a fault")
  }
}

private struct KernelFault: Error, CustomStringConvertible {
  let description: String
}

/// One pipeline: what it is, and what the compiler says of it.
private struct KernelRow: Encodable {
  let device: String
  let driver: String
  let kernel: String
  let constants: [String: UInt32]
  let ops: [String]
  let hot: Bool
  let workgroup: Int
  var statistics: KernelStatistics?
  /// The driver's own names.
  var reported: [String: Int]?
  var error: String?
  let variant: String

  /// The shader, and what takes the place of texel buffers: see `KernelForm`.
  var family: String { kernel.split(separator: " ").prefix(2).joined(separator: ", ") }

  private enum CodingKeys: CodingKey {
    case device, driver, kernel, constants, ops, hot, workgroup, statistics, reported, error
  }

  /// - Parameter device: what to compile on; nil where the kernel is only listed.
  init(_ use: KernelUse, _ plan: DevicePlan, _ device: Device?) {
    let facts = KernelFacts.of(use.source)
    let named = facts.named(use.constants)
    self.device = plan.snapshot.name
    driver = "\(plan.snapshot.driverName) \(plan.snapshot.driverInfo)"
    kernel = use.source.name
    ops = use.ops
    hot = use.isHot
    workgroup = facts.workgroupSize(use.constants).reduce(1, *)
    constants = Dictionary(named) { first, _ in first }
    variant = named.map { "\($0.name) \($0.bits)" }.joined(separator: ", ")
    guard let device else { return }
    do throws(VulkanError) {
      let kernel = try device.kernel(use.source, use.constants)
      let reported = try kernel.reportedStatistics() ?? []
      self.reported = Dictionary(reported) { $0 + $1 }
      var statistics = KernelStatistics(reported)
      // Not every driver counts it.
      statistics.sharedBytes = statistics.sharedBytes ?? facts.sharedBytes(use.constants)
      self.statistics = statistics
    } catch {
      self.error = "\(error)"
    }
  }

  /// Why `--check` fails here.
  func fault(_ plan: DevicePlan) -> String? {
    if let error { return "'\(kernel)' (\(variant)) does not compile: \(error)" }
    // A second way to read is taken only where it was measured to be faster.
    let isDefault = family == kernel
    if isDefault, hot, let spills = statistics?.spills, spills > 0 {
      return "'\(kernel)' (\(variant)) spills \(spills)"
    }
    let (amd, nvidia): (UInt32, UInt32) = (0x1002, 0x10de)
    let least = [amd: 4, nvidia: 8][plan.snapshot.vendorID] ?? 0
    let products = [MatmulTilesKernel.source.name, MatmulMatrixKernel.source.name]
    if products.contains(where: family.hasPrefix), let subgroups = statistics?.subgroups, subgroups < least {
      return "'\(kernel)' (\(variant)) leaves \(subgroups) subgroups, \(least) are needed to hide latency"
    }
    return nil
  }
}

/// Rows as a Markdown table.
private struct KernelTable {
  private let columns: [String]
  private let cells: [[String]]

  /// One row per pipeline.
  init(_ rows: [KernelRow], compiled: Bool) {
    columns = ["kernel", "constants", "invocations"] + (compiled ? Self.numbers.map(\.name) : [])
    cells = rows.map { row in
      let numbers = row.error == nil ? Self.numbers.map { $0.text(row.statistics?[keyPath: $0.field]) } : ["failed"]
      return [row.kernel, row.variant, "\(row.workgroup)"] + (compiled ? numbers : [])
    }
  }

  /// One row per kernel, the others in the last one.
  init(worstOf rows: [KernelRow]) {
    columns = ["kernel", "pipelines", "failed"] + Self.numbers.map(\.name)
    let groups = Dictionary(grouping: rows) { row in
      row.hot ? row.family + (row.constants["SIZE"].map { ", SIZE \($0)" } ?? "") : "others"
    }
    cells = groups.sorted { ($0.key == "others" ? 1 : 0, $0.key) < ($1.key == "others" ? 1 : 0, $1.key) }.map {
      name, rows in
      let numbers = Self.numbers.map { number in
        number.text(number.worst(rows.compactMap { $0.statistics?[keyPath: number.field] }))
      }
      return [name, "\(rows.count)", "\(rows.count { $0.error != nil })"] + numbers
    }
  }

  private struct Number {
    let name: String
    let field: KeyPath<KernelStatistics, Int?> & Sendable
    var wantsMany = false

    func worst(_ values: [Int]) -> Int? { wantsMany ? values.min() : values.max() }
    func text(_ value: Int?) -> String { value.map(String.init) ?? "" }
  }

  private static let numbers = [
    Number(name: "registers", field: \.registers), Number(name: "spills", field: \.spills),
    Number(name: "shared", field: \.sharedBytes), Number(name: "subgroups", field: \.subgroups, wantsMany: true),
    Number(name: "code", field: \.codeBytes), Number(name: "cycles", field: \.cycles),
  ]

  var text: String {
    let padded = cells.map { $0 + Array(repeating: "", count: columns.count - $0.count) }
    let widths = columns.indices.map { column in
      padded.reduce(columns[column].count) { max($0, $1[column].count) }
    }
    func line(_ cells: [String]) -> String {
      "| \(zip(cells, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }.joined(separator: " | ")) |"
    }
    let rule = widths.map { String(repeating: "-", count: $0) }
    return ([line(columns), line(rule)] + padded.map(line)).joined(separator: "\n")
  }
}
