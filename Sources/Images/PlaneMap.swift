import Random

/// A linear map of a plane (height, width) of bytes: each pixel of the result is a weighted mean of some of the source.
///
/// Weights are whole multiples of 2^-30 and add to 1, so sums are exact and a grey plane stays as it is.
struct PlaneMap {
  private static let one = 1 << 30

  private var sources: [Int32] = []
  private var weights: [Int64] = []
  /// Of each pixel of the result, the end of its sources.
  private var ends: [Int] = []

  /// - Parameter taps: of the pixel (y, x) of the result, pixels y * width + x of the source with positive weights.
  private init(_ height: Int, _ width: Int, _ taps: (_ y: Int, _ x: Int) -> [Int: Double]) {
    for y in 0..<height {
      for x in 0..<width {
        let all = taps(y, x).sorted { $0.key < $1.key }
        let total = all.reduce(0) { $0 + $1.value }
        let largest = all.indices.max { all[$0].value < all[$1].value } ?? 0
        let start = weights.count
        for (source, weight) in all {
          sources.append(Int32(source))
          weights.append(Int64(weight / total * Double(Self.one)))
        }
        weights[start + largest] += Int64(Self.one) - weights[start...].reduce(0, +)
        ends.append(weights.count)
      }
    }
  }

  func callAsFunction(_ plane: ArraySlice<UInt8>) -> [UInt8] {
    plane.withUnsafeBufferPointer { plane in
      var begin = 0
      return ends.map { end in
        var sum: Int64 = 0
        for tap in begin..<end { sum += weights[tap] * Int64(plane[Int(sources[tap])]) }
        begin = end
        return UInt8(sum / Int64(Self.one))
      }
    }
  }
}

extension PlaneMap {
  /// Gaussian blur as scikit-image's: to four deviations, borders repeated.
  static func gaussian(_ height: Int, _ width: Int, deviation: Double) -> PlaneMap {
    let kernel = bell(radius: Int(4 * deviation + 0.5), deviation)
    let reach = kernel.count / 2
    return PlaneMap(height, width) { y, x in
      var taps: [Int: Double] = [:]
      for (dy, a) in zip(-reach...reach, kernel) {
        for (dx, b) in zip(-reach...reach, kernel) {
          taps[min(max(y + dy, 0), height - 1) * width + min(max(x + dx, 0), width - 1), default: 0] += a * b
        }
      }
      return taps
    }
  }

  /// A disk, smoothed by a 3 x 3 Gaussian; borders are mirrored without repeating the outermost pixel.
  static func defocus(_ height: Int, _ width: Int, _ disk: (radius: Double, deviation: Double)) -> PlaneMap {
    let kernel = bell(radius: 1, disk.deviation)
    let reach = Int(disk.radius)
    var inside: [(y: Int, x: Int)] = []
    for y in -reach...reach {
      for x in -reach...reach where Double(y * y + x * x) <= disk.radius * disk.radius { inside.append((y, x)) }
    }
    func mirrored(_ i: Int, _ count: Int) -> Int {
      let folded = i < 0 ? -i : i >= count ? 2 * (count - 1) - i : i
      return min(max(folded, 0), count - 1)
    }
    return PlaneMap(height, width) { y, x in
      var taps: [Int: Double] = [:]
      for (dy, dx) in inside {
        for (ey, a) in zip(-1...1, kernel) {
          for (ex, b) in zip(-1...1, kernel) {
            taps[mirrored(y + dy + ey, height) * width + mirrored(x + dx + ex, width), default: 0] += a * b
          }
        }
      }
      return taps
    }
  }

  /// Mean of the plane and of its middle enlarged by 1 + hundredths / 100, each by linear interpolation between corners
  /// (scipy's zoom).
  static func zoom(_ height: Int, _ width: Int, hundredths: ClosedRange<Int>) -> PlaneMap {
    /// For each pixel of the result along an axis, the source before it and the weight of the one behind that.
    func axis(_ count: Int, _ zoom: Int) -> [(Int, Double)] {
      let factor = 100 + zoom
      let cropped = (100 * count + factor - 1) / factor
      let enlarged = (cropped * factor + 50) / 100
      let (top, trimmed) = ((count - cropped) / 2, (enlarged - count) / 2)
      return (0..<count).map {
        let (index, rest) = (($0 + trimmed) * (cropped - 1)).quotientAndRemainder(dividingBy: max(1, enlarged - 1))
        return (top + index, Double(rest) / Double(max(1, enlarged - 1)))
      }
    }
    let zooms = hundredths.map { (rows: axis(height, $0), columns: axis(width, $0)) }
    return PlaneMap(height, width) { y, x in
      var taps = [y * width + x: 1.0]
      for zoom in zooms {
        let ((row, down), (column, right)) = (zoom.rows[y], zoom.columns[x])
        for (dy, a) in [(0, 1 - down), (1, down)] where a > 0 {
          for (dx, b) in [(0, 1 - right), (1, right)] where b > 0 {
            taps[(row + dy) * width + column + dx, default: 0] += a * b
          }
        }
      }
      return taps
    }
  }

  /// Values of a Gaussian at -radius...radius.
  private static func bell(radius: Int, _ deviation: Double) -> [Double] {
    (-radius...radius).map { portableExp(max(-64, -Double($0 * $0) / (2 * deviation * deviation))) }
  }
}
