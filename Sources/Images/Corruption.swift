import Random
import Storage

/// What can happen to an image between a camera and a model: corruptions of CIFAR-10-C (Hendrycks and Dietterich,
/// "Benchmarking neural network robustness to common corruptions and perturbations", 2019) with its constants. Left out are
/// those that need a codec (JPEG), photographs (frost) or warps.
///
/// As in the published program, values are cut to bytes, not rounded, and clipped to 0...255 first.
package enum Corruption: String, Sendable, CaseIterable {
  case gaussianNoise = "gaussian_noise"
  case shotNoise = "shot_noise"
  case impulseNoise = "impulse_noise"
  case defocusBlur = "defocus_blur"
  case gaussianBlur = "gaussian_blur"
  case zoomBlur = "zoom_blur"
  case brightness
  case contrast
  case pixelate

  package static let severities = 1...5
}

/// A corruption of one severity, prepared for images of one size. Pure: equal images, seeds and numbers give equal bytes on
/// every machine, since only arithmetic that IEEE 754 rounds in one way is used.
struct Corruptor {
  private enum Work {
    /// Standard deviation, of 255.
    case gaussian(Double)
    /// For each byte, what it becomes.
    case shot([PoissonBytes])
    /// Share of the values that become 0 or 255.
    case impulse(Double)
    case linear(PlaneMap)
    case brightness(Double)
    case contrast(Double)
    /// Part of both sides that the image shrinks to before it is enlarged again.
    case pixelate(Double)
  }

  private let work: Work
  private let corruption: Corruption
  private let channels: Int
  private let height: Int
  private let width: Int

  init(_ corruption: Corruption, severity: Int, channels: Int, height: Int, width: Int) {
    precondition(Corruption.severities.contains(severity), "severity \(severity) is not in 1...5")
    self.corruption = corruption
    self.channels = channels
    self.height = height
    self.width = width
    func level<T>(_ constants: T...) -> T { constants[severity - 1] }
    work =
      switch corruption {
      case .gaussianNoise: .gaussian(255 * level(0.04, 0.06, 0.08, 0.09, 0.10))
      case .shotNoise: .shot(PoissonBytes.all(photons: level(500, 250, 100, 75, 50)))
      case .impulseNoise: .impulse(level(0.01, 0.02, 0.03, 0.05, 0.07))
      case .defocusBlur:
        .linear(.defocus(height, width, level((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))))
      case .gaussianBlur: .linear(.gaussian(height, width, deviation: level(0.4, 0.6, 0.7, 0.8, 1)))
      case .zoomBlur: .linear(.zoom(height, width, hundredths: 0...level(5, 10, 15, 20, 25)))
      case .brightness: .brightness(255 * level(0.05, 0.1, 0.15, 0.2, 0.3))
      case .contrast: .contrast(level(0.75, 0.5, 0.4, 0.3, 0.15))
      case .pixelate: .pixelate(level(0.95, 0.9, 0.85, 0.75, 0.65))
      }
  }

  /// - Parameters:
  ///   - image: (channels, height, width)
  ///   - number: tells apart the noise of different images.
  func callAsFunction(_ image: [UInt8], seed: UInt64, number: Int) -> [UInt8] {
    var random = CounterRandom(seed: seed, stream: "\(corruption.rawValue), image \(number)")
    switch work {
    case .gaussian(let deviation):
      var spare: Double?
      return image.map {
        var noise = spare
        if noise != nil { spare = nil } else { (noise, spare) = random.portableNormals() }
        return cut(Double($0) + deviation * (noise ?? 0))
      }
    case .shot(let bytes): return image.map { bytes[Int($0)].draw(&random) }
    case .impulse(let share):
      return image.map {
        let draw = random.uniform()
        return draw >= share ? $0 : draw < share / 2 ? 255 : 0
      }
    case .linear(let map): return onPlanes(image, map.callAsFunction)
    case .brightness(let more): return brighter(image, by: more)
    case .contrast(let factor):
      return onPlanes(image) { plane in
        let mean = Double(plane.reduce(0) { $0 + Int($1) }) / Double(plane.count)
        return plane.map { cut((Double($0) - mean) * factor + mean) }
      }
    case .pixelate(let part):
      func small(_ length: Int) -> Int { max(1, Int(Double(length) * part)) }
      return Picture(height: height, width: width, planes: image[...])
        .resized(height: small(height), width: small(width), by: .box)
        .resized(height: height, width: width, by: .box).planes
    }
  }

  private func onPlanes(_ image: [UInt8], _ body: (ArraySlice<UInt8>) -> [UInt8]) -> [UInt8] {
    let size = image.count / channels
    return (0..<channels).flatMap { body(image[$0 * size..<($0 + 1) * size]) }
  }

  /// Adds to the value of hue, saturation and value. Both others stay, so the channels keep their ratios to the largest.
  private func brighter(_ image: [UInt8], by more: Double) -> [UInt8] {
    let size = image.count / channels
    var result = image
    for pixel in 0..<size {
      let places = stride(from: pixel, to: image.count, by: size)
      let value = places.reduce(0) { max($0, Double(image[$1])) }
      let brighter = min(255, value + more)
      // Black has no hue, it becomes grey.
      for place in places { result[place] = cut(value == 0 ? brighter : Double(image[place]) * brighter / value) }
    }
    return result
  }
}

private func cut(_ level: Double) -> UInt8 { UInt8(max(0, min(255, level))) }

/// What a byte of light becomes when its photons are counted: Poisson around its share of them, by its inverse
/// distribution function.
private struct PoissonBytes {
  private var first = 0
  private var below: [Double] = []
  private let photons: Int

  static func all(photons: Int) -> [PoissonBytes] { (0...255).map { PoissonBytes(level: $0, photons: photons) } }

  private init(level: Int, photons: Int) {
    self.photons = photons
    let mean = Double(level * photons) / 255
    first = Int(mean)
    // Relative to the likeliest count, outward until nothing is left: this needs no exponential.
    var shares = [1.0]
    while first > 0, shares[0] > 1e-18 {
      shares.insert(shares[0] * Double(first) / mean, at: 0)
      first -= 1
    }
    var last = Int(mean)
    while mean > 0, shares[last - first] > 1e-18 {
      last += 1
      shares.append(shares[last - first - 1] * mean / Double(last))
    }
    let total = shares.reduce(0, +)
    var sum = 0.0
    below = shares.map {
      sum += $0
      return sum / total
    }
  }

  func draw(_ random: inout CounterRandom) -> UInt8 {
    guard below.count > 1 else { return 0 }
    let draw = random.uniform()
    var (low, high) = (0, below.count - 1)
    while low < high {
      let middle = (low + high) / 2
      if draw < below[middle] { high = middle } else { low = middle + 1 }
    }
    return UInt8(min(255, (first + low) * 255 / photons))
  }
}

extension ImageDataset {
  /// The images of this view, corrupted; noise is drawn by `seed`, the corruption's name and an image's number.
  package func corrupted(
    by corruption: Corruption, severity: Int, seed: UInt64 = 0
  ) throws(StorageError) -> ImageDataset {
    let corruptor = Corruptor(corruption, severity: severity, channels: channels, height: height, width: width)
    var pixels: [UInt8] = []
    pixels.reserveCapacity(count * imageSize)
    for number in 0..<count { pixels += corruptor(try image(number), seed: seed, number: number) }
    return try ImageDataset(
      name: "\(name), \(corruption.rawValue) \(severity)", channels: channels, height: height, width: width,
      classes: classes, pixels: pixels, labels: (0..<count).map(label))
  }
}
