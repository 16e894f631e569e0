import Random
import Storage

/// How training images are changed each time they are seen, as published training does (timm's transforms).
package struct Augmentation: Sendable, Hashable {
  /// Share of a picture's area that a random rectangle of it, resized to a square, has at least; nil for no such crop.
  /// Up to 32 pixels a square is cut instead out of the picture with a black border of 4.
  package let crop: Double?
  /// How often left and right are exchanged.
  package let flip: Double
  /// Of RandAugment's two operations, 0...10; nil for none.
  package let randAugment: Double?
  /// How often a rectangle becomes noise.
  package let erasing: Double
  /// Both parameters of the beta distribution that mixup draws its weight from; nil for none.
  package let mixup: Double?
  /// The same of the area that cutmix takes from another image. Where both are set, each batch gets one of them.
  package let cutmix: Double?

  package init(
    crop: Double? = nil, flip: Double = 0, randAugment: Double? = nil, erasing: Double = 0, mixup: Double? = nil,
    cutmix: Double? = nil
  ) {
    self.crop = crop
    self.flip = flip
    self.randAugment = randAugment
    self.erasing = erasing
    self.mixup = mixup
    self.cutmix = cutmix
  }

  /// Whether images have more than one class.
  package var mixes: Bool { mixup != nil || cutmix != nil }

  /// What becomes of the images of one step: all of it follows from seed and stream.
  package struct Draw: Sendable {
    package let augmentation: Augmentation
    let seed: UInt64
    let stream: String
    /// Mean and deviation of each channel, of 1: noise is normal after normalization.
    let noise: [(mean: Double, deviation: Double)]

    /// - Parameter stream: of this step alone.
    package init(
      _ augmentation: Augmentation, seed: UInt64, stream: String, noise: [(mean: Double, deviation: Double)]
    ) {
      self.augmentation = augmentation
      self.seed = seed
      self.stream = stream
      self.noise = noise
    }

    func random(_ what: String, _ number: Int) -> CounterRandom {
      CounterRandom(seed: seed, stream: "\(stream), \(what) \(number)")
    }

    /// A square of `size`.
    /// - Parameter isFramed: whether the picture is one already.
    func callAsFunction(_ picture: Picture, isFramed: Bool = false, to size: Int, number: Int) -> Picture {
      var random = random("image", number)
      var picture =
        augmentation.crop.map { cut(picture, to: size, smallest: $0, &random) }
        ?? (isFramed ? picture : picture.framed(to: size))
      if random.uniform() < augmentation.flip { picture = picture.mirrored }
      if let magnitude = augmentation.randAugment { picture = picture.randAugmented(magnitude, &random) }
      if random.uniform() < augmentation.erasing { erase(&picture, &random) }
      return picture
    }

    private func cut(
      _ picture: Picture, to size: Int, smallest: Double, _ random: inout CounterRandom
    ) -> Picture {
      guard size > 32 else {
        let larger = picture.framed(to: size).padded(by: 4)
        return larger.cropped(Box(top: random.below(9), left: random.below(9), height: size, width: size))
      }
      let box =
        Box.random(
          in: picture, area: smallest...1, ratio: 0.75...4 / 3, &random, allowsWhole: true) ?? .middle(of: picture)
      return picture.cropped(box).resized(height: size, width: size)
    }

    /// Zhong et al., "Random erasing data augmentation" (2017), with a number of its own for each value.
    private func erase(_ picture: inout Picture, _ random: inout CounterRandom) {
      guard
        let box = Box.random(in: picture, area: 0.02...1 / 3, ratio: 0.3...3.3, &random, allowsWhole: false)
      else { return }
      for y in box.top..<box.top + box.height {
        for x in box.left..<box.left + box.width {
          for (channel, noise) in noise.enumerated() {
            let level = 255 * (noise.mean + noise.deviation * random.portableNormals().0)
            picture.bytes[(y * picture.width + x) * picture.channels + channel] =
              UInt8(max(0, min(255, level.rounded())))
          }
        }
      }
    }
  }
}

extension Box {
  /// Of an area drawn evenly and a ratio of width to height drawn evenly in its logarithm; nil after ten that do not fit.
  /// - Parameter allowsWhole: whether it may be as wide or high as the picture.
  fileprivate static func random(
    in picture: Picture, area: ClosedRange<Double>, ratio: ClosedRange<Double>, _ random: inout CounterRandom,
    allowsWhole: Bool
  ) -> Box? {
    let whole = Double(picture.height * picture.width)
    let span = portableLog(ratio.upperBound / ratio.lowerBound)
    let room = allowsWhole ? 1 : 0
    for _ in 0..<10 {
      let target = whole * (area.lowerBound + random.uniform() * (area.upperBound - area.lowerBound))
      let aspect = ratio.upperBound * portableExp(-span * random.uniform())
      let width = Int((target * aspect).squareRoot().rounded(.toNearestOrEven))
      let height = Int((target / aspect).squareRoot().rounded(.toNearestOrEven))
      guard width > 0, height > 0, width < picture.width + room, height < picture.height + room else { continue }
      return Box(
        top: random.below(picture.height - height + 1), left: random.below(picture.width - width + 1),
        height: height, width: width)
    }
    return nil
  }

  /// All of a picture but for what makes it longer than 4 to 3.
  fileprivate static func middle(of picture: Picture) -> Box {
    let width = min(picture.width, Int((Double(picture.height) * 4 / 3).rounded()))
    let height = min(picture.height, Int((Double(picture.width) * 4 / 3).rounded()))
    return Box(top: (picture.height - height) / 2, left: (picture.width - width) / 2, height: height, width: width)
  }
}

extension ImageDataset {
  /// The images at `indices`, augmented, and mixed within each of `parts` equal parts of the batch.
  /// - Parameter smoothing: of the targets of mixed images, share that is spread evenly over the classes.
  package func batch(
    _ indices: [Int], _ draw: Augmentation.Draw, parts: Int = 1, smoothing: Double = 0
  ) throws(StorageError) -> ImageBatch {
    let labels = indices.map { UInt32(label($0)) }
    let images = try rendered(indices.count) { (i) throws(StorageError) in
      draw(try picture(indices[i]), isFramed: isInMemory, to: height, number: i).planes
    }
    guard draw.augmentation.mixes else { return ImageBatch(images: images, labels: labels) }
    var mixed = ImageBatch(images: [], labels: labels, targets: [])
    let rows = indices.count / parts
    for part in 0..<parts {
      let mixing = Mixing(draw, part: part, height: height, width: width)
      mixed.images += mixing.mixed(
        Array(images[part * rows * imageSize..<(part + 1) * rows * imageSize]), count: rows, height: height,
        width: width)
      mixed.targets? += mixing.targets(
        Array(labels[part * rows..<(part + 1) * rows]), classes: classes, smoothing: smoothing)
    }
    return mixed
  }
}
