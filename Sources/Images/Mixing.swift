import Random

/// Each image of a batch with its mirror image in the batch's order, the first with the last: mixup (Zhang et al. 2017)
/// adds both, cutmix (Yun et al. 2019) puts a rectangle of one into the other; labels are mixed alike.
struct Mixing {
  /// Share of the image itself.
  private(set) var share: Double
  /// What the other image replaces; nil for mixup.
  private(set) var box: Box?

  init(_ draw: Augmentation.Draw, part: Int, height: Int, width: Int) {
    var random = draw.random("mix", part)
    let (mixup, cutmix) = (draw.augmentation.mixup, draw.augmentation.cutmix)
    let isCutmix = cutmix != nil && (mixup == nil || random.uniform() < 0.5)
    share = Mixing.beta((isCutmix ? cutmix : mixup) ?? 1, &random)
    guard isCutmix else { return }
    let side = (1 - share).squareRoot()
    let (y, x) = (random.below(height), random.below(width))
    let (halfHeight, halfWidth) = (Int(Double(height) * side) / 2, Int(Double(width) * side) / 2)
    let (top, left) = (max(0, y - halfHeight), max(0, x - halfWidth))
    let box = Box(
      top: top, left: left, height: min(height, y + halfHeight) - top, width: min(width, x + halfWidth) - left)
    self.box = box
    share = 1 - Double(box.height * box.width) / Double(height * width)
  }

  /// Beta(a, a) by Jöhnk's method (1964): two powers of uniform numbers whose sum is at most 1.
  private static func beta(_ a: Double, _ random: inout CounterRandom) -> Double {
    func power() -> Double { portableExp(max(-64, portableLog(1 - random.uniform()) / a)) }
    while true {
      let (x, y) = (power(), power())
      if x + y <= 1, x + y > 0 { return x / (x + y) }
    }
  }

  /// - Parameter images: (count, channels, height, width)
  func mixed(_ images: [UInt8], count: Int, height: Int, width: Int) -> [UInt8] {
    var result = images
    let size = images.count / count
    let weight = Int((share * 65_536).rounded())
    for image in 0..<count {
      let (own, other) = (image * size, (count - 1 - image) * size)
      guard let box else {
        for i in 0..<size {
          let sum = Int(images[own + i]) * weight + Int(images[other + i]) * (65_536 - weight)
          result[own + i] = UInt8((sum + 32_768) >> 16)
        }
        continue
      }
      for row in 0..<size / width where box.top..<box.top + box.height ~= row % height {
        let start = row * width + box.left
        result.replaceSubrange(
          own + start..<own + start + box.width, with: images[other + start..<other + start + box.width])
      }
    }
    return result
  }

  /// - Parameter smoothing: share of the target that is spread evenly over the classes.
  /// - Returns: (labels, classes)
  func targets(_ labels: [UInt32], classes: Int, smoothing: Double) -> [Float] {
    var targets = [Float](repeating: Float(smoothing / Double(classes)), count: labels.count * classes)
    for (row, (own, other)) in zip(labels, labels.reversed()).enumerated() {
      targets[row * classes + Int(own)] += Float((1 - smoothing) * share)
      targets[row * classes + Int(other)] += Float((1 - smoothing) * (1 - share))
    }
    return targets
  }
}
