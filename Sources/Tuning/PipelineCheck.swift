import GPU
import Graph

/// Replaces pipelines that a software driver placed badly.
///
/// On some processors about three in a hundred pipelines run at half their speed for as long as they live, and a second one of
/// the same code does not (docs/matmul.md, "Some pipelines are slow"). So of each kernel that takes much of the programs' time a second
/// pipeline is made and timed beside the first, and the faster one stays. Results do not depend on it.
package struct PipelineCheck {
  let device: Device
  /// When they are over, no further site is begun.
  var seconds = 2.0
  /// A second pipeline has to be this many times as fast; less is noise.
  var advantage = 1.4
  /// Tensors that take more than this many bytes are not made for a check.
  var bytes = 64 << 20

  package init(_ device: Device) { self.device = device }

  /// - Parameter programs: with how often each one will run: what takes the most time comes first.
  /// - Returns: how many kernels were replaced.
  /// - Throws: `VulkanError` if the device is lost.
  @discardableResult
  package func run(_ programs: [(program: Program, runs: Int)], choices: Choices) throws(VulkanError) -> Int {
    guard device.traits.isSoftware else { return 0 }
    let begin = ContinuousClock.now
    var seen: Set<String> = []
    var count = 0
    for site in TuningSite.of(programs, traits: device.traits) where begin.duration(to: .now) < .seconds(seconds) {
      let (launch, misfit) = choices.launch(site.op, site.site)
      let needed = (site.site.inputs + site.site.outputs + launch.scratch).reduce(0) { $0 + $1.bytes }
      guard misfit == nil, needed <= bytes, seen.insert(launch.code).inserted else { continue }
      do throws(VulkanError) {
        let tensors = try OpTensors(site.op, at: site.site, inputs: site.inputs(), on: device)
        count += try replaced(launch, on: tensors) ? launch.dispatches.count : 0
      } catch {
        // Most likely there is no memory for the tensors beside each other; the first pipelines stay.
        if case .deviceLost = error { throw error }
      }
    }
    return count
  }

  /// Checks the kernels of one launch on tensors of its op.
  /// - Returns: whether they were replaced.
  @discardableResult
  package func replaced(_ launch: Launch, on tensors: OpTensors) throws(VulkanError) -> Bool {
    guard device.traits.isSoftware else { return false }
    var first = try OpTimer(launch, on: tensors)
    let old = try launch.dispatches.map { (dispatch) throws(VulkanError) in
      try device.remakeKernel(dispatch.source, dispatch.constants)
    }
    var second = try OpTimer(launch, on: tensors)
    var best = (first: Double.infinity, second: Double.infinity)
    try first.warmUp()
    try second.warmUp()
    for _ in 0..<3 {
      best.first = min(best.first, try first.sample().device)
      best.second = min(best.second, try second.sample().device)
    }
    guard best.second * advantage > best.first else { return true }
    for (kernel, dispatch) in zip(old, launch.dispatches) { device.keep(kernel, dispatch.constants) }
    return false
  }
}
