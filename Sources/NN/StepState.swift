import Foundation
import Graph

/// What changes from step to step besides the data. A replayed command buffer keeps its push constants, so these numbers
/// travel in a small input tensor.
package struct StepState: Sendable {
  /// 1 for the first step.
  package let step: Int
  package let learningRate: Double
  package let seed: UInt64

  package init(step: Int, learningRate: Double, seed: UInt64) {
    self.step = step
    self.learningRate = learningRate
    self.seed = seed
  }

  package static let inputName = "step"
  package static func input(in graph: Graph) -> Value { graph.input(inputName, [8], .u32) }

  /// step, learning rate, 1 - beta1^step, 1 - beta2^step, seed (low, high), 0, 0. The powers are taken here in Double.
  package func words(beta1: Double, beta2: Double) -> [UInt32] {
    [
      UInt32(truncatingIfNeeded: step), Float(learningRate).bitPattern,
      Float(1 - pow(beta1, Double(step))).bitPattern, Float(1 - pow(beta2, Double(step))).bitPattern,
      UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32), 0, 0,
    ]
  }
}
