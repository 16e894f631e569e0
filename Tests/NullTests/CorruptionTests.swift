import Foundation
import Random
import Testing

@testable import Images
@testable import Storage

@Suite struct CorruptionTests {
  private static let whole = Corruption.allCases.flatMap { corruption in
    Corruption.severities.map { (corruption, $0) }
  }

  /// A smooth gradient with a bright square, so that every corruption finds something to change.
  private static func picture(channels: Int = 1, height: Int = 28, width: Int = 28) -> [UInt8] {
    var image: [UInt8] = []
    for c in 0..<channels {
      for y in 0..<height {
        for x in 0..<width {
          let isBright = (8..<16).contains(y) && (6..<20).contains(x)
          image.append(UInt8(isBright ? 200 - 40 * c : (3 * x + 2 * y + 20 * c) % 150))
        }
      }
    }
    return image
  }

  private static func corrupted(
    _ image: [UInt8], _ corruption: Corruption, _ severity: Int, channels: Int = 1, height: Int = 28, width: Int = 28,
    seed: UInt64 = 0, number: Int = 0
  ) -> [UInt8] {
    Corruptor(corruption, severity: severity, channels: channels, height: height, width: width)(
      image, seed: seed, number: number)
  }

  private func distance(_ a: [UInt8], _ b: [UInt8]) -> Double {
    let squares = zip(a, b).map { (x, y) -> Double in
      let difference = Double(x) - Double(y)
      return difference * difference
    }
    return (squares.reduce(0, +) / Double(a.count)).squareRoot()
  }

  @Test func noiseIsThatOfItsSeedAndImage() {
    let image = Self.picture()
    for corruption in Corruption.allCases {
      let result = Self.corrupted(image, corruption, 3)
      #expect(result == Self.corrupted(image, corruption, 3))
      let isNoise = corruption.rawValue.hasSuffix("noise")
      #expect((result != Self.corrupted(image, corruption, 3, seed: 1)) == isNoise, "\(corruption)")
      #expect((result != Self.corrupted(image, corruption, 3, number: 1)) == isNoise, "\(corruption)")
    }
  }

  /// The bits of all corruptions and severities, so that one that changes, here or on another machine, is noticed.
  @Test func bitsAreThoseOfEveryMachine() {
    let image = Self.picture(channels: 3)
    let sums = Self.whole.map { corruption, severity in
      Self.corrupted(image, corruption, severity, channels: 3)
        .reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }
    }
    #expect(sums == Self.sums)
  }

  private static let sums: [UInt32] = [
    3_263_566_169, 3_585_764_153, 3_375_361_551, 778_818_902, 1_301_534_124,
    3_675_747_612, 204_848_345, 2_496_211_070, 1_772_422_120, 3_950_849_934,
    1_267_243_142, 1_118_547_529, 1_685_827_028, 2_517_661_229, 815_632_719,
    2_744_391_192, 1_211_229_134, 3_396_365_213, 260_771_893, 3_868_363_255,
    3_085_039_484, 1_799_317_891, 562_117_173, 4_014_967_527, 2_012_454_147,
    3_732_830_686, 1_399_393_149, 3_890_206_635, 3_435_649_309, 1_850_183_391,
    2_821_445_549, 1_013_880_377, 1_326_217_612, 4_224_439_844, 4_268_732_935,
    2_582_656_115, 3_117_943_061, 20_301_780, 1_464_240_124, 2_263_747_472,
    455_149_163, 3_615_949_337, 3_597_731_233, 1_458_900_059, 3_665_028_615,
  ]

  @Test func severityGrowsTheDistance() {
    // Values without a grain that a grid of some severity could fit.
    var random = CounterRandom(seed: 1, stream: "picture")
    let image = Self.picture(channels: 3, height: 64, width: 64).map {
      UInt8(Int($0) * 3 / 4) + UInt8(random.below(50))
    }
    for corruption in Corruption.allCases {
      let distances = Corruption.severities.map {
        distance(image, Self.corrupted(image, corruption, $0, channels: 3, height: 64, width: 64))
      }
      #expect(zip(distances, distances.dropFirst()).allSatisfy { $0 < $1 }, "\(corruption): \(distances)")
      #expect(distances[0] > 0.5 && distances[4] < 80, "\(corruption): \(distances)")
    }
  }

  @Test func noiseHasItsVariance() {
    let image = [UInt8](repeating: 128, count: 3 * 100 * 100)
    func deviation(_ corruption: Corruption, _ severity: Int) -> (mean: Double, deviation: Double) {
      let result = Self.corrupted(image, corruption, severity, channels: 3, height: 100, width: 100).map(Double.init)
      let mean = result.reduce(0, +) / 30_000
      return (mean, (result.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 30_000).squareRoot())
    }
    // Cutting to bytes takes half a level from the mean.
    let gaussian = deviation(.gaussianNoise, 1)
    #expect(abs(gaussian.mean - 127.5) < 0.3 && abs(gaussian.deviation - 10.2) < 0.2, "\(gaussian)")
    // Poisson of mean 128 / 255 * 50 photons, each worth 5.1 levels.
    let shot = deviation(.shotNoise, 5)
    let expected = (128.0 / 255 * 50).squareRoot() * 5.1
    #expect(abs(shot.mean - 127.6) < 0.7 && abs(shot.deviation - expected) < 0.5, "\(shot), \(expected)")
    let impulse = Self.corrupted(image, .impulseNoise, 5, channels: 3, height: 100, width: 100)
    let (black, white) = (impulse.count { $0 == 0 }, impulse.count { $0 == 255 })
    #expect(abs(black - 1050) < 130 && abs(white - 1050) < 130 && impulse.count { $0 == 128 } == 30_000 - black - white)
    #expect(Self.corrupted([0, 0, 0, 0], .shotNoise, 5, height: 2, width: 2) == [0, 0, 0, 0])
  }

  @Test func contrastByHand() {
    // Mean 100; severity 2 halves what differs from it, severity 3 leaves 0.4.
    #expect(Self.corrupted([0, 100, 200, 100], .contrast, 2, height: 2, width: 2) == [50, 100, 150, 100])
    #expect(Self.corrupted([0, 100, 200, 100], .contrast, 3, height: 2, width: 2) == [60, 100, 140, 100])
    // Each channel has its own mean: 10 and 200.
    #expect(
      Self.corrupted([0, 20, 190, 210], .contrast, 2, channels: 2, height: 1, width: 2) == [5, 15, 195, 205])
  }

  @Test func brightnessByHand() {
    // Severity 4 adds 51, severity 1 12.75.
    #expect(Self.corrupted([0, 100, 204, 250], .brightness, 4, height: 2, width: 2) == [51, 151, 255, 255])
    #expect(Self.corrupted([0, 100, 204, 250], .brightness, 1, height: 2, width: 2) == [12, 112, 216, 255])
    // Colour keeps hue and saturation: (102, 51, 0) has value 102, and 153 is half as much again; black becomes grey.
    #expect(
      Self.corrupted([102, 0, 51, 0, 0, 0], .brightness, 4, channels: 3, height: 1, width: 2)
        == [153, 51, 76, 51, 0, 51])
  }

  @Test func pixelateByHand() {
    // Severity 5 on four pixels: two, of two each, and back.
    let image: [UInt8] = [
      10, 20, 30, 50,
      30, 40, 50, 70,
      0, 0, 200, 201,
      0, 2, 202, 203,
    ]
    // Along rows 15 40 / 35 60 / 0 201 / 1 203, then along columns 25 50 / 1 202, halves rounded up.
    #expect(
      Self.corrupted(image, .pixelate, 5, height: 4, width: 4) == [
        25, 25, 50, 50,
        25, 25, 50, 50,
        1, 1, 202, 202,
        1, 1, 202, 202,
      ])
  }

  /// A blur spreads one bright pixel, loses nothing but what is cut, and leaves a plain grey as it is.
  @Test(arguments: [Corruption.gaussianBlur, .defocusBlur, .zoomBlur]) func blursKeepLight(_ blur: Corruption) {
    for severity in Corruption.severities {
      let grey = [UInt8](repeating: 77, count: 15 * 11)
      #expect(Self.corrupted(grey, blur, severity, height: 15, width: 11) == grey)
    }
    var point = [UInt8](repeating: 0, count: 15 * 15)
    point[7 * 15 + 7] = 255
    let spread = Self.corrupted(point, blur, 5, height: 15, width: 15)
    #expect(spread[7 * 15 + 7] < 255 && spread[7 * 15 + 6] > 0)
    // 3 x 3 pixels of a disk of radius 1.5 share the light: 255 / 9 = 28.3.
    if blur == .defocusBlur {
      #expect(spread.filter { $0 > 0 } == [UInt8](repeating: 28, count: 9))
    }
    // Gaussian of deviation 1: 0.3991 of the light squared in the middle, times 0.6065 beside it.
    if blur == .gaussianBlur {
      #expect(spread[7 * 15 + 7] == 40 && spread[7 * 15 + 8] == 24 && spread[8 * 15 + 8] == 14)
    }
  }

  @Test func corruptedSetKeepsWhatItIsOf() throws {
    let pixels = (0..<4).flatMap { _ in Self.picture() }
    let all = try ImageDataset(
      name: "four", channels: 1, height: 28, width: 28, classes: 4, pixels: pixels, labels: [3, 1, 2, 0])
    let part = try all.balanced(3, seed: 0)
    let noisy = try part.corrupted(by: .gaussianNoise, severity: 2)
    #expect(noisy.count == 3 && (0..<3).map(noisy.label) == (0..<3).map(part.label))
    #expect(noisy.name == "four, gaussian_noise 2")
    // Equal images, different noise.
    #expect(try noisy.image(0) != noisy.image(1))
    let many = try ImageDataset(
      name: "x", channels: 1, height: 2, width: 2, classes: 1000, pixels: [1, 2, 3, 4], labels: [999])
    #expect(try many.corrupted(by: .contrast, severity: 1).label(0) == 999)
  }
}

@Suite struct PortableMathTests {
  @Test func agreesWithTheLibrary() {
    for x in [1e-300, 1e-17, 0.1, 0.5, 0.999_999, 1, 1.000_001, 1.4142, 1.5, 2, 10, 1e300] {
      #expect(abs(portableLog(x) - log(x)) <= 4e-16 * max(1, abs(log(x))), "log \(x)")
    }
    for x in [0, -1e-9, -0.1, -1, -7.3, -30, -64] { #expect(abs(portableExp(x) / exp(x) - 1) < 1e-12, "exp \(x)") }
  }

  @Test func normalsAreNormal() {
    var random = CounterRandom(seed: 3, stream: "normals")
    var (mean, second, fourth, product) = (0.0, 0.0, 0.0, 0.0)
    for _ in 0..<20_000 {
      let (a, b) = random.portableNormals()
      let squares = (a * a, b * b)
      mean += (a + b) / 40_000
      second += (squares.0 + squares.1) / 40_000
      fourth += (squares.0 * squares.0 + squares.1 * squares.1) / 40_000
      product += a * b / 20_000
    }
    #expect(abs(mean) < 0.02 && abs(second - 1) < 0.03 && abs(fourth - 3) < 0.2 && abs(product) < 0.03)
  }
}
