import Random

extension Picture {
  /// RandAugment (Cubuk et al. 2019) as timm's `rand-m{magnitude}-mstd0.5-inc1`: two operations out of fifteen, drawn with
  /// replacement, each done every other time, with a magnitude drawn around the given one.
  func randAugmented(_ magnitude: Double, _ random: inout CounterRandom) -> Picture {
    var picture = self
    for _ in 0..<2 {
      let operation = Operation.allCases[random.below(Operation.allCases.count)]
      guard random.uniform() < 0.5 else { continue }
      let level = max(0, min(10, magnitude + 0.5 * random.portableNormals().0)) / 10
      picture = picture.applying(operation, level, negated: random.uniform() < 0.5)
    }
    return picture
  }

  enum Operation: String, CaseIterable {
    case autoContrast, equalize, invert, rotate, posterize, solarize, solarizeAdd, color, contrast, brightness,
      sharpness, shearX, shearY, translateX, translateY
  }

  /// The bits of the Pillow function that timm calls.
  /// - Parameters:
  ///   - level: 0...1, from hardly to fully.
  ///   - negated: the other direction, where there are two.
  func applying(_ operation: Operation, _ level: Double, negated: Bool) -> Picture {
    let sign = negated ? -1.0 : 1
    let enhanced = 1 + sign * 0.9 * level
    switch operation {
    case .autoContrast: return mappedByChannel { Picture.stretched($0) }
    case .equalize: return mappedByChannel { Picture.equalized($0) }
    case .invert: return mapped { 255 - $0 }
    case .posterize:
      let kept = 4 - Int(4 * level)
      return mapped { $0 & ~(0xff >> kept) }
    case .solarize:
      let threshold = 256 - Int(256 * level)
      return mapped { $0 < threshold ? $0 : 255 - $0 }
    case .solarizeAdd:
      let more = Int(110 * level)
      return mapped { $0 < 128 ? min(255, $0 + more) : $0 }
    case .color: return blended(from: grey, enhanced)
    case .contrast:
      let grey = grey
      let sum = stride(from: 0, to: grey.bytes.count, by: channels).reduce(0) { $0 + Int(grey.bytes[$1]) }
      let mean = UInt8(Double(sum) / Double(height * width) + 0.5)
      return blended(from: mapped { _ in Int(mean) }, enhanced)
    case .brightness: return blended(from: mapped { _ in 0 }, enhanced)
    case .sharpness: return blended(from: smoothed, enhanced)
    case .rotate:
      let (sine, cosine) = portableSineAndCosine(-sign * 30 * level * .pi / 180)
      let (x, y) = (Double(width) / 2, Double(height) / 2)
      return warped((cosine, sine, x - cosine * x - sine * y), (-sine, cosine, y + sine * x - cosine * y))
    case .shearX: return warped((1, sign * 0.3 * level, 0), (0, 1, 0))
    case .shearY: return warped((1, 0, 0), (sign * 0.3 * level, 1, 0))
    case .translateX: return warped((1, 0, sign * 0.45 * level * Double(width)), (0, 1, 0))
    case .translateY: return warped((1, 0, 0), (0, 1, sign * 0.45 * level * Double(height)))
    }
  }

  private func mapped(_ level: (Int) -> Int) -> Picture {
    let table = (0..<256).map { UInt8(level($0)) }
    return Picture(height: height, width: width, channels: channels, bytes: bytes.map { table[Int($0)] })
  }

  /// - Parameter table: what each level of a channel becomes, from how often it occurs.
  private func mappedByChannel(_ table: (_ histogram: [Int]) -> [UInt8]) -> Picture {
    var result = self
    for channel in 0..<channels {
      let places = stride(from: channel, to: bytes.count, by: channels)
      var histogram = [Int](repeating: 0, count: 256)
      for place in places { histogram[Int(bytes[place])] += 1 }
      let table = table(histogram)
      for place in places { result.bytes[place] = table[Int(bytes[place])] }
    }
    return result
  }

  /// The levels that occur, spread over all of them.
  private static func stretched(_ histogram: [Int]) -> [UInt8] {
    let low = histogram.firstIndex { $0 > 0 } ?? 0
    let high = histogram.lastIndex { $0 > 0 } ?? 0
    guard high > low else { return (0...255).map { UInt8($0) } }
    let scale = 255 / Double(high - low)
    let offset = -Double(low) * scale
    return (0..<256).map { UInt8(max(0, min(255, Int(Double($0) * scale + offset)))) }
  }

  /// Levels so that each occurs about as often as any other.
  private static func equalized(_ histogram: [Int]) -> [UInt8] {
    let used = histogram.filter { $0 > 0 }
    let step = (used.reduce(0, +) - (used.last ?? 0)) / 255
    guard used.count > 1, step > 0 else { return (0...255).map { UInt8($0) } }
    var below = step / 2
    return histogram.map { count in
      defer { below += count }
      return UInt8(min(255, below / step))
    }
  }

  /// Luma of ITU-R 601 in all channels.
  private var grey: Picture {
    guard channels == 3 else { return self }
    var result = self
    for pixel in stride(from: 0, to: bytes.count, by: 3) {
      let sum = Int(bytes[pixel]) * 19_595 + Int(bytes[pixel + 1]) * 38_470 + Int(bytes[pixel + 2]) * 7_471
      let level = UInt8((sum + 0x8000) >> 16)
      for channel in 0..<3 { result.bytes[pixel + channel] = level }
    }
    return result
  }

  /// Mean of nine pixels, the middle one five times; the border stays.
  private var smoothed: Picture {
    var result = self
    guard height > 2, width > 2 else { return self }
    let line = width * channels
    for y in 1..<height - 1 {
      for i in y * line + channels..<(y + 1) * line - channels {
        var sum = 4 * Int(bytes[i])
        for row in [i - line, i, i + line] {
          sum += Int(bytes[row - channels]) + Int(bytes[row]) + Int(bytes[row + channels])
        }
        result.bytes[i] = UInt8((2 * sum + 13) / 26)
      }
    }
    return result
  }

  /// On the line from another picture, 0, to this one, 1, or beyond it.
  private func blended(from other: Picture, _ factor: Double) -> Picture {
    var result = self
    let factor = Float(factor)
    for i in bytes.indices {
      let level = Float(other.bytes[i]) + factor * (Float(bytes[i]) - Float(other.bytes[i]))
      result.bytes[i] = UInt8(max(0, min(255, level)))
    }
    return result
  }

  /// ImageNet's mean colour, where a warped picture has no pixels.
  private static let fill: [UInt8] = [124, 116, 104]

  /// Each pixel (x, y), interpolated bicubically where `right` and `down` say its origin's coordinates lie: (a, b, c) for
  /// a x + b y + c.
  private func warped(
    _ right: (a: Double, b: Double, c: Double), _ down: (a: Double, b: Double, c: Double)
  ) -> Picture {
    var result = self
    func line(_ v: (Double, Double, Double, Double), _ d: Double) -> Double {
      let (p2, p3, p4) = (-v.0 + v.2, 2 * (v.0 - v.1) + v.2 - v.3, -v.0 + v.1 - v.2 + v.3)
      return v.1 + d * (p2 + d * (p3 + d * p4))
    }
    bytes.withUnsafeBufferPointer { bytes in
      result.bytes.withUnsafeMutableBufferPointer { result in
        for y in 0..<height {
          for x in 0..<width {
            let (fromX, fromY) = (Double(x) + 0.5, Double(y) + 0.5)
            let originX = right.a * fromX + right.b * fromY + right.c
            let originY = down.a * fromX + down.b * fromY + down.c
            let place = (y * width + x) * channels
            guard originX >= 0, originX < Double(width), originY >= 0, originY < Double(height) else {
              for channel in 0..<channels { result[place + channel] = Picture.fill[channel % 3] }
              continue
            }
            let (left, top) = ((originX - 0.5).rounded(.down), (originY - 0.5).rounded(.down))
            let (dx, dy) = (originX - 0.5 - left, originY - 0.5 - top)
            func column(_ i: Int) -> Int { max(0, min(width - 1, Int(left) + i)) * channels }
            let columns = (column(-1), column(0), column(1), column(2))
            for channel in 0..<channels {
              func row(_ i: Int) -> Double {
                let start = max(0, min(height - 1, Int(top) + i)) * width * channels + channel
                func level(_ column: Int) -> Double { Double(bytes[start + column]) }
                return line((level(columns.0), level(columns.1), level(columns.2), level(columns.3)), dx)
              }
              result[place + channel] = UInt8(max(0, min(255, line((row(-1), row(0), row(1), row(2)), dy))))
            }
          }
        }
      }
    }
    return result
  }
}
