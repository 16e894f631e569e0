import ArgumentParser
import GPU
import Graph
import Tuning

struct PeakBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "peak",
    abstract: "What the device does at best: multiply-adds, bandwidth; and what a dispatch and a submission cost.")

  @OptionGroup var options: BenchOptions

  func run() throws {
    let session = try Session(options)
    let (device, seconds) = (session.device, options.seconds)
    for half in [false, true] {
      if half, !device.snapshot.shaderFloat16 {
        session.note("skipped fma f16: this device has no shaderFloat16")
        continue
      }
      let kernel = try PeakKernels.multiplyAdds(half: half, on: device)
      session.report(
        op: "fma", case: half ? "f16" : "f32", shape: "[131072]", dtype: half ? "f16" : "f32", family: "registers",
        try alternate([kernel.contender], seconds: seconds)[0], cost: Cost(flops: kernel.amount, bytes: 0))
    }
    if let unit = device.traits.matrixUnit {
      let kernel = try PeakKernels.products(by: unit, on: device)
      session.report(
        op: "matrix units", case: "\(unit.m)x\(unit.n)x\(unit.k)", shape: "[1024]", dtype: "f16", family: "registers",
        try alternate([kernel.contender], seconds: seconds)[0], cost: Cost(flops: kernel.amount, bytes: 0))
    }
    let copies = try PeakKernels.copies(on: device)
    for (copy, timings) in zip(copies, try alternate(copies.map(\.contender), seconds: seconds)) {
      session.report(
        op: "bandwidth", case: "copy", shape: "[\(copy.amount / 8)]", family: copy.contender.family, timings,
        cost: Cost(flops: 0, bytes: copy.amount))
    }
    let count = 256
    let chains = try [false, true].map { try PeakKernels.dispatches(count, dependent: $0, on: device).contender }
    for (name, timings) in zip(["no barrier", "barrier between"], try alternate(chains, seconds: seconds)) {
      session.report(
        op: "dispatch", case: name, shape: "1 of \(count)", dtype: "u32", family: "one word",
        timings.divided(by: Double(count)))
    }
    let submission = try PeakKernels.submission(on: device)
    session.report(
      op: "submit", case: "one dispatch", shape: "[1]", dtype: "u32", family: submission.family,
      try alternate([submission], seconds: seconds)[0])
    try session.finish()
  }
}
