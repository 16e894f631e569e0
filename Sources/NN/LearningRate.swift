import Foundation

/// Linear warm-up, then a cosine that is not shifted by the warm-up (timm's CosineLRScheduler with one cycle):
///
///     t < W:       warmupFrom + t (base - warmupFrom) / W
///     W <= t < T:  minimum + (base - minimum) (1 + cos(pi t / T)) / 2
///     t >= T:      minimum
///
/// `t` counts epochs or steps, whichever the recipe's phase is written in.
package struct LearningRate: Sendable, Hashable {
  package let base: Double
  package let warmupFrom: Double
  package let minimum: Double
  package let warmup: Int
  package let total: Int

  package init(base: Double, warmupFrom: Double, minimum: Double, warmup: Int, total: Int) {
    self.base = base
    self.warmupFrom = warmupFrom
    self.minimum = minimum
    self.warmup = warmup
    self.total = total
  }

  package func callAsFunction(_ t: Int) -> Double {
    if t < warmup { return warmupFrom + Double(t) * (base - warmupFrom) / Double(warmup) }
    if t >= total { return minimum }
    return minimum + 0.5 * (base - minimum) * (1 + cos(Double.pi * Double(t) / Double(total)))
  }

  /// The reference scales the base rate linearly with the effective batch (Goyal et al. 2017), relative to 512.
  package static func scaled(_ rate: Double, effectiveBatch: Int) -> Double { rate * Double(effectiveBatch) / 512 }
}
