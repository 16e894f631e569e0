import GPU
import Graph
import Ops
import Tuning

/// The time of a device as a whole: two transformer blocks and the gradient of a weight, on made-up numbers, with the default
/// kernels. Products, attention and what moves memory take about the shares that they have of a training step, by as few kernels
/// as that needs: a software driver compiles each for up to seconds, at both widths.
package struct TrialStep {
  private let plan: Plan

  package init(on device: Device) throws {
    plan = try Plan(PlanLayout(TrialStep.program(), traits: device.traits), on: device, blocks: [:])
  }

  /// - Returns: a number that all kernels have a part in.
  package func run() throws -> Double { Double(try plan.run().scalars()[0]) }

  /// Changes with the kernels of the step at any vector width.
  package static var fingerprint: String {
    guard let program = try? program() else { return "" }
    return VectorWidth.known.map { program.fingerprint(DeviceTraits(subgroupSize: $0 / 32)) }.joined(separator: " ")
  }

  private static func program() throws(ShapeError) -> Program {
    let (batch, tokens, features, heads) = (8, 65, 384, 6)
    let graph = Graph()
    /// Numbers between -scale and scale.
    func madeUp(_ shape: Shape, scale: Double) -> Value {
      graph.constant(HostTensor(shape, (0..<shape.count).map { scale * (Double(madeUpByte($0)) / 127.5 - 1) }))
    }
    func linear(from input: Int, to output: Int) -> (Value) throws(ShapeError) -> Value {
      let weight = madeUp([output, input], scale: 0.1)
      return { (x) throws(ShapeError) in try x.matmul(weight, transposing: .right) }
    }
    let qkv = linear(from: features, to: 3 * features)
    let projection = linear(from: features, to: features)
    let up = linear(from: features, to: 4 * features)
    let down = linear(from: 4 * features, to: features)
    let norm = (weight: madeUp([features], scale: 1), bias: madeUp([features], scale: 1))
    var x = madeUp([batch, tokens, features], scale: 1)
    var gradient = x
    for _ in 0..<2 {
      let mixed = try projection(qkv(x).attention(heads: heads)).layerNorm(
        weight: norm.weight, bias: norm.bias, eps: 1e-6)
      x = try mixed.gelu() + x
      let hidden = try up(x).gelu()
      gradient = try hidden.matmul(x, transposing: .left)
      x = try down(hidden) + x
    }
    // Products with an epilogue would be kernels of their own.
    return Program(graph, results: [try (gradient.gelu().sum() + x.gelu().sum())], fusing: false)
  }
}

extension VectorWidth {
  /// As below, measured with `TrialStep`.
  package static func settle(_ wish: Wish, device: String?, notice: (String) -> Void) -> Settled {
    settle(wish, device: device, kernels: TrialStep.fingerprint, notice: notice)
  }
}
