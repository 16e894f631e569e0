import Foundation
import GPU
import Graph
import Kernels
import Synchronization

/// Compiles the kernels of programs before they run, on several processors.
///
/// Mesa's software driver compiles a kernel when it is first dispatched, on the one thread that works for a device: up to seconds each,
/// a minute for all that a training run takes. So devices beside the one that trains share the kernels out and dispatch no groups
/// of them, and the training one finds their machine code in the cache that Mesa keeps in files.
package struct Precompilation {
  let device: Device
  /// Each takes the memory of a compiler of its own.
  var devices = min(ProcessInfo.processInfo.activeProcessorCount, 4)
  /// Some kernels, evenly spread, are compiled first; only where two of them take as many seconds the cache counts as empty. A kernel
  /// that is in it takes 1 to 4 ms, if nothing comes in between.
  var cold = 0.02
  private static let samples = 8

  package init(_ device: Device) { self.device = device }

  /// All that the driver's machine code depends on, but for the length of what views lie in (`Buffer.init`).
  private struct Key: Hashable {
    struct View: Hashable {
      let format: TexelFormat
      /// Of bits 8 to 15 of a view's length, where Mesa keeps the last mip level of other textures: whether they are zero.
      let isFirstLevel: Bool
    }
    let kernel: String
    let constants: [SpecializationEntry]
    let views: [View?]
  }

  /// A dispatch, and the bytes of what it binds.
  private struct Item: Sendable {
    let dispatch: Dispatch
    let bytes: [Operand.Place: Int]

    /// - Returns: seconds that the driver took for the first dispatch.
    func compile(on device: Device, _ memory: Buffer) throws(VulkanError) -> Double {
      let commands = try device.record { recorder throws(VulkanError) in
        try recorder.dispatch(dispatch, on: device, groups: GroupCount(0, 0, 0)) { place in
          memory.slice(offset: 0, bytes: bytes[place] ?? 0)
        }
      }
      let begin = ContinuousClock.now
      try device.submit([commands]).wait()
      return begin.duration(to: .now) / .seconds(1)
    }
  }

  /// - Parameter isStopped: asked between kernels.
  /// - Returns: how many kernels there are, if they were not in the cache. Nil leaves most of them to the first step.
  /// - Throws: `VulkanError` if the device is lost; other errors are left to the plan, which meets them, too.
  package func run(
    _ programs: [(program: Program, runs: Int)], choices: Choices, isStopped: @Sendable () -> Bool = { false }
  ) throws(VulkanError) -> Int? {
    guard device.snapshot.vectorBits != nil, devices > 1 else { return nil }
    let items = items(of: programs.map(\.program), choices: choices)
    let longest = items.reduce(1) { max($0, $1.bytes.values.max() ?? 0) }
    let next = Atomic<Int>(0)
    /// The call that lost a device.
    let lost = Mutex<String?>(nil)
    /// Compiles what `index` gives until it is nil, or `isEnough` of the seconds that one took.
    @Sendable func compile(on device: Device?, _ index: () -> Int?, until isEnough: (Double) -> Bool) {
      do {
        let device = try device ?? Device(plan: self.device.plan, instance: self.device.instance)
        let memory = try device.makeBuffer(bytes: longest, kind: .device, label: "kernels to compile")
        while !isStopped(), let i = index() {
          if isEnough(try items[i].compile(on: device, memory)) { return }
        }
      } catch VulkanError.deviceLost(let function) {
        lost.withLock { $0 = function }
      } catch {
        // Memory is short, or the kernel is none for this device.
      }
    }
    var samples = stride(from: 0, to: items.count, by: max(1, items.count / Self.samples)).makeIterator()
    var slow = 0
    compile(on: device) {
      samples.next()
    } until: { seconds in
      slow += seconds > cold ? 1 : 0
      return slow == 2
    }
    let isCold = slow == 2
    if isCold {
      DispatchQueue.concurrentPerform(iterations: devices) { worker in
        compile(on: worker == 0 ? device : nil) {
          let i = next.wrappingAdd(1, ordering: .relaxed).oldValue
          return i < items.count ? i : nil
        } until: { _ in
          false
        }
      }
    }
    if let function = lost.withLock({ $0 }) { throw .deviceLost(function: function) }
    return isCold ? items.count : nil
  }

  private func items(of programs: [Program], choices: Choices) -> [Item] {
    var seen: Set<Key> = []
    var items: [Item] = []
    for program in programs {
      for node in program.nodes {
        let site = program.site(of: node, traits: device.traits)
        let launch = choices.launch(node.op, site).launch
        for dispatch in launch.dispatches {
          let views = dispatch.operands.map { operand in
            operand.format.map {
              Key.View(
                format: $0, isFirstLevel: launch.bytes(of: operand, at: site, node.op.colocated) >> 8 & 0xff == 0)
            }
          }
          let key = Key(kernel: dispatch.source.name, constants: dispatch.constants, views: views)
          guard seen.insert(key).inserted else { continue }
          let bytes = dispatch.operands.reduce(into: [:]) {
            $0[$1.place] = launch.bytes(of: $1.place, at: site, node.op.colocated)
          }
          items.append(Item(dispatch: dispatch, bytes: bytes))
        }
      }
    }
    return items
  }
}
