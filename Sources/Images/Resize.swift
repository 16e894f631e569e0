extension Picture {
  /// This picture in another size, smoothed where it shrinks: the bits of Pillow 10's `resize`, which torchvision's and
  /// timm's transforms of images are made of.
  func resized(height: Int, width: Int, by filter: ResizeFilter = .bicubic) -> Picture {
    let rows = height == self.height ? nil : ResizeTaps(filter, from: self.height, to: height)
    let columns = width == self.width ? nil : ResizeTaps(filter, from: self.width, to: width)
    // Along rows first, as Pillow does; both passes round to bytes.
    let narrow = columns.map { taps in
      Picture(
        height: self.height, width: width, channels: channels,
        bytes: taps.filtered(bytes, lines: self.height, stride: channels))
    }
    let source = narrow ?? self
    return rows.map { taps in
      Picture(
        height: height, width: width, channels: channels,
        bytes: taps.filtered(source.bytes, lines: 1, stride: width * channels))
    } ?? source
  }

  /// The square that a model is tested on: the short side resized to 256 / 224 of `size`, then the middle, as published; up to
  /// 32 pixels without that margin.
  func framed(to size: Int) -> Picture {
    let short = size <= 32 ? size : 256 * size / 224
    let long = short * max(height, width) / min(height, width)
    let scaled = height <= width ? resized(height: short, width: long) : resized(height: long, width: short)
    func middle(_ length: Int) -> Int { Int((Double(length - size) / 2).rounded(.toNearestOrEven)) }
    return scaled.cropped(
      Box(top: middle(scaled.height), left: middle(scaled.width), height: size, width: size))
  }
}

/// How much a pixel counts by its distance from where one of the result lies.
enum ResizeFilter {
  case bicubic, box

  /// Where it ends.
  fileprivate var support: Double { self == .bicubic ? 2 : 0.5 }

  fileprivate func callAsFunction(_ distance: Double) -> Double {
    guard self == .bicubic else { return distance > -0.5 && distance <= 0.5 ? 1 : 0 }
    // Keys' kernel (1981) with a = -0.5.
    let (x, a) = (abs(distance), -0.5)
    if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0
  }
}

/// Which bytes of a line the bytes of a resized one are sums of, and with which weights.
private struct ResizeTaps {
  /// Fractional bits of a weight.
  private static let precision = 22

  private let source: Int
  private let starts: [Int]
  private let ends: [Int]
  private let weights: [Int32]

  init(_ filter: ResizeFilter, from source: Int, to result: Int) {
    self.source = source
    let scale = Double(source) / Double(result)
    let stretch = max(1, scale)
    let support = filter.support * stretch
    var (starts, ends, weights): ([Int], [Int], [Int32]) = ([], [], [])
    for place in 0..<result {
      let center = (Double(place) + 0.5) * scale
      let first = max(0, Int(center - support + 0.5))
      let last = min(source, Int(center + support + 0.5))
      let values = (first..<last).map { filter((Double($0) - center + 0.5) * (1 / stretch)) }
      // In the order in which Pillow multiplies and adds: last bits decide how a weight is rounded.
      let total = values.reduce(0, +)
      starts.append(first)
      for value in values {
        let scaled = (total == 0 ? value : value / total) * Double(1 << ResizeTaps.precision)
        weights.append(Int32(scaled < 0 ? scaled - 0.5 : scaled + 0.5))
      }
      ends.append(weights.count)
    }
    (self.starts, self.ends, self.weights) = (starts, ends, weights)
  }

  /// - Parameters:
  ///   - bytes: (lines, length before, stride)
  ///   - stride: bytes from one place of a line to the next, each filtered alone.
  /// - Returns: (lines, length after, stride)
  func filtered(_ bytes: [UInt8], lines: Int, stride: Int) -> [UInt8] {
    var sums = [Int32](repeating: 0, count: stride)
    return [UInt8](unsafeUninitializedCapacity: lines * starts.count * stride) { result, count in
      bytes.withUnsafeBufferPointer { bytes in
        weights.withUnsafeBufferPointer { weights in
          sums.withUnsafeMutableBufferPointer { sums in
            for line in 0..<lines {
              for place in starts.indices {
                sums.update(repeating: 1 << Int32(ResizeTaps.precision - 1))
                var from = (line * source + starts[place]) * stride
                // All bytes of a place for one tap after the other: along columns these are rows, whose sums become vectors.
                for tap in (place == 0 ? 0 : ends[place - 1])..<ends[place] {
                  let weight = weights[tap]
                  for lane in 0..<stride { sums[lane] &+= weight &* Int32(bytes[from &+ lane]) }
                  from &+= stride
                }
                for lane in 0..<stride {
                  result[count &+ lane] = UInt8(
                    truncatingIfNeeded: max(0, min(255, sums[lane] >> Int32(ResizeTaps.precision))))
                }
                count &+= stride
              }
            }
          }
        }
      }
    }
  }
}
