import CTurboJPEG
import Foundation
import Random
import Testing

@testable import Images
@testable import Storage

/// What Pillow makes of the pictures in Fixtures/images (make.py there wrote it).
private struct Pillow: Decodable {
  struct Result: Decodable {
    let height: Int
    let width: Int
    let bytes: String

    var picture: Picture {
      let digits = Array(bytes.utf8)
      let values = stride(from: 0, to: digits.count, by: 2).map { i in
        UInt8(String(decoding: digits[i..<i + 2], as: UTF8.self), radix: 16) ?? 0
      }
      return Picture(height: height, width: width, channels: 3, bytes: values)
    }
  }

  struct Operation: Decodable {
    let operation: String
    let level: Double
    let negated: Bool
    let height: Int
    let width: Int
    let bytes: String

    var result: Result { Result(height: height, width: width, bytes: bytes) }
  }

  let files: [String: Result]
  let resized: [Result]
  let boxed: [Result]
  let dull: Result
  let operations: [Operation]

  static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fixtures/images").path

  static func read() throws -> Pillow {
    try JSONDecoder().decode(Pillow.self, from: Data(contentsOf: URL(fileURLWithPath: directory + "/pillow.json")))
  }
}

@Suite struct ImageFileTests {
  private static func path(_ name: String) -> String { "\(Pillow.directory)/\(name)" }

  @Test func filesAreReadAsPillowReadsThem() throws {
    for (name, expected) in try Pillow.read().files {
      #expect(try Picture(reading: Self.path(name)) == expected.picture, "\(name)")
    }
  }

  @Test func picturesAreResizedAsPillowResizesThem() throws {
    let picture = try Picture(reading: Self.path("color.png"))
    let pillow = try Pillow.read()
    for (filter, results) in [(ResizeFilter.bicubic, pillow.resized), (.box, pillow.boxed)] {
      for expected in results {
        let resized = picture.resized(height: expected.height, width: expected.width, by: filter)
        #expect(resized == expected.picture, "\(expected.height) x \(expected.width) by \(filter)")
      }
    }
  }

  @Test func operationsAreThoseOfPillow() throws {
    let pillow = try Pillow.read()
    let dull = pillow.dull.picture
    #expect(Set(pillow.operations.map(\.operation)) == Set(Picture.Operation.allCases.map(\.rawValue)))
    for case let expected in pillow.operations {
      let operation = try #require(Picture.Operation(rawValue: expected.operation))
      let result = dull.applying(operation, expected.level, negated: expected.negated)
      #expect(result == expected.result.picture, "\(expected.operation) \(expected.level)")
    }
  }

  @Test func everyTruncationIsNoticed() throws {
    let directory = try TemporaryDirectory()
    for name in ["color.jpg", "progressive.jpg", "color.png"] {
      let whole = try bytes(of: Self.path(name))
      for count in 0..<whole.count - 2 {
        let path = try directory.file("cut", Array(whole.prefix(count)))
        let error = storageError(naming: path) { _ = try Picture(reading: path) }
        // A PNG ends with a check sum and a mark of its end.
        #expect(error != nil || name == "color.png" && count >= whole.count - 16, "\(name), \(count) bytes")
      }
    }
  }

  @Test func damageEndsInAnErrorOrAPicture() throws {
    let directory = try TemporaryDirectory()
    var random = CounterRandom(seed: 1, stream: "damage")
    for name in ["color.jpg", "progressive.jpg", "cmyk.jpg", "palette.png"] {
      let whole = try bytes(of: Self.path(name))
      for _ in 0..<300 {
        var damaged = whole
        for _ in 0..<3 { damaged[random.below(whole.count)] = UInt8(random.below(256)) }
        let path = try directory.file("damaged", damaged)
        _ = storageError(naming: path) { _ = try Picture(reading: path) }
      }
    }
  }

  @Test func otherFilesAreNamed() throws {
    let directory = try TemporaryDirectory()
    func error(_ bytes: [UInt8]) throws -> StorageError? {
      let path = try directory.file("other", bytes)
      return storageError(naming: path) { _ = try Picture(reading: path) }
    }
    #expect(try error([])?.isForeign == true && error(Array("GIF89a".utf8))?.isForeign == true)
    // A PNG header that promises 2^31 - 1 pixels on both sides.
    var huge = try bytes(of: Self.path("color.png"))
    huge.replaceSubrange(16..<24, with: [0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff])
    #expect(try error(huge)?.isCorrupt == true)
    let missing = directory.path + "/none.jpg"
    #expect(storageError(naming: missing) { _ = try Picture(reading: missing) }?.isMissing == true)
  }

  @Test func framesAreTheMiddle() {
    // Columns are numbered; 448 x 224 shrinks to half, and then 112 of 224 columns are left.
    let wide = Picture(
      height: 256, width: 512, channels: 1, bytes: (0..<256 * 512).map { UInt8($0 % 512 / 2) })
    let frame = wide.framed(to: 224)
    #expect(frame.height == 224 && frame.width == 224)
    #expect(frame.bytes == wide.cropped(Box(top: 16, left: 144, height: 224, width: 224)).bytes)
    let high = Picture(height: 100, width: 40, channels: 3, bytes: [UInt8](repeating: 9, count: 12_000))
    #expect(
      high.framed(to: 64) == Picture(height: 64, width: 64, channels: 3, bytes: .init(repeating: 9, count: 12_288)))
    let small = Picture(height: 28, width: 28, channels: 1, bytes: (0..<784).map { UInt8($0 % 251) })
    #expect(small.framed(to: 28) == small)
  }
}

@Suite struct AugmentationTests {
  private static let noise = [(mean: 0.5, deviation: 0.2), (mean: 0.5, deviation: 0.2), (mean: 0.5, deviation: 0.2)]

  private func draw(_ augmentation: Augmentation, seed: UInt64 = 0, step: Int = 1) -> Augmentation.Draw {
    .init(augmentation, seed: seed, stream: "PT, step \(step)", noise: Self.noise)
  }

  private static func picture(_ height: Int, _ width: Int) -> Picture {
    Picture(
      height: height, width: width, channels: 3, bytes: (0..<height * width * 3).map { UInt8($0 * 7 / 3 % 253) })
  }

  @Test func nothingAskedForIsTheFrame() {
    let picture = Self.picture(90, 70)
    #expect(draw(.init())(picture, to: 64, number: 0) == picture.framed(to: 64))
    #expect(draw(.init(flip: 1))(picture, to: 64, number: 0) == picture.framed(to: 64).mirrored)
    #expect(picture.mirrored != picture && picture.mirrored.mirrored == picture)
  }

  @Test func stepsAndImagesDrawTheirOwn() {
    let all = Augmentation(crop: 0.08, flip: 0.5, randAugment: 9, erasing: 0.25)
    let picture = Self.picture(90, 70)
    var seen: Set<[UInt8]> = []
    for step in 1...5 {
      for number in 0..<5 {
        let result = draw(all, step: step)(picture, to: 48, number: number)
        #expect(result.height == 48 && result.width == 48 && result.channels == 3)
        #expect(result == draw(all, step: step)(picture, to: 48, number: number))
        seen.insert(result.bytes)
      }
    }
    #expect(seen.count == 25)
    #expect(draw(all)(picture, to: 48, number: 0) != draw(all, seed: 1)(picture, to: 48, number: 0))
    for size in [1, 5] {
      #expect(draw(all)(Self.picture(size, 3), to: 40, number: 0).bytes.count == 40 * 40 * 3)
    }
  }

  /// Of a picture whose levels are coordinates, a crop's corners tell where it was.
  @Test func cropsCoverTheRangeOfAreas() {
    let side = 240
    let picture = Picture(
      height: side, width: side, channels: 2,
      bytes: (0..<side * side).flatMap { [UInt8($0 / side), UInt8($0 % side)] })
    var areas: [Double] = []
    for number in 0..<400 {
      let crop = draw(.init(crop: 0.25))(picture, to: 40, number: number).bytes
      let last = crop.count - 2
      let (height, width) = (Double(crop[last]) - Double(crop[0]), Double(crop[last + 1]) - Double(crop[1]))
      // Both ends lie half a pixel of the result inside.
      areas.append(height * width / Double(side * side) * pow(40 / 39, 2))
      #expect(height > 0 && width > 0 && (0.7...1.43).contains(width / height))
    }
    #expect((0.22...0.32).contains(areas.min() ?? 0) && (0.93...1.03).contains(areas.max() ?? 0))
    let mean = areas.reduce(0, +) / 400
    // The largest areas fit less often, so a little below the middle of the range.
    #expect((0.53...0.64).contains(mean), "\(mean)")
  }

  @Test func smallImagesShiftByUpToFour() {
    let picture = Picture(height: 16, width: 16, channels: 1, bytes: [UInt8](repeating: 200, count: 256))
    var corners: Set<[Bool]> = []
    for number in 0..<200 {
      let shifted = draw(.init(crop: 0.08))(picture, to: 16, number: number)
      #expect(Set(shifted.bytes).isSubset(of: [0, 200]) && shifted.bytes.count { $0 == 0 } <= 256 - 144)
      corners.insert([0, 15, 240, 255].map { shifted.bytes[$0] == 0 })
    }
    #expect(corners.count >= 8)
  }

  @Test func erasingIsNormalNoiseInARectangle() {
    let picture = Picture(height: 64, width: 64, channels: 3, bytes: [UInt8](repeating: 255, count: 64 * 64 * 3))
    var (erased, sum, squares, number) = (0, 0.0, 0.0, 0.0)
    for image in 0..<200 {
      let changed = draw(.init(erasing: 0.5))(picture, to: 64, number: image).bytes.filter { $0 != 255 }
      guard !changed.isEmpty else { continue }
      erased += 1
      #expect((0.015...0.36).contains(Double(changed.count) / Double(picture.bytes.count)))
      for level in changed {
        let value = (Double(level) / 255 - 0.5) / 0.2
        sum += value
        squares += value * value
        number += 1
      }
    }
    #expect((70...130).contains(erased))
    // Cut off at 2.5 deviations, where 255 is left out and 0 is not.
    #expect(abs(sum / number) < 0.05 && abs((squares / number).squareRoot() - 0.98) < 0.03)
  }

  private static func batch(_ augmentation: Augmentation, step: Int, parts: Int = 1) throws -> ImageBatch {
    let pixels = (0..<6).flatMap { [UInt8](repeating: UInt8(40 * $0), count: 3 * 40 * 40) }
    let data = try ImageDataset(
      name: "levels", channels: 3, height: 40, width: 40, classes: 6, pixels: pixels, labels: [0, 1, 2, 3, 4, 5])
    return try data.batch(
      Array(0..<6), .init(augmentation, seed: 3, stream: "step \(step)", noise: noise), parts: parts, smoothing: 0.1)
  }

  @Test func targetsSayWhatImagesShow() throws {
    var (cut, blended) = (0, 0)
    var shares: [Double] = []
    for step in 0..<200 {
      let parts = step % 2 + 1
      let batch = try Self.batch(.init(mixup: 0.8, cutmix: 1), step: step, parts: parts)
      let targets = try #require(batch.targets)
      #expect(targets.count == 36)
      for row in 0..<6 {
        let own = targets[row * 6..<row * 6 + 6]
        #expect(abs(own.reduce(0, +) - 1) < 1e-5)
        // The partner is the mirror image within its part.
        let rows = 6 / parts
        let other = row / rows * rows + rows - 1 - row % rows
        let image = batch.images[row * 4800..<(row + 1) * 4800]
        let mean = image.reduce(0) { $0 + Double($1) } / 4800
        var expected = 0.0
        for (level, target) in own.enumerated() {
          expected += 40 * Double(level) * (Double(target) - 0.1 / 6) / 0.9
        }
        #expect(abs(mean - expected) < 0.6, "step \(step), row \(row)")
        if row != other, own[own.startIndex + row] < 0.9 {
          let levels = Set(image)
          if levels == [UInt8(40 * row), UInt8(40 * other)] { cut += 1 } else if levels.count == 1 { blended += 1 }
          #expect(levels.count <= 2)
        }
      }
      shares.append(Double(targets[0] - 0.1 / 6) / 0.9)
    }
    #expect(cut > 300 && blended > 200)
    // Half, and more where cutmix's rectangle ends at the border.
    #expect((0.5...0.7).contains(shares.reduce(0, +) / 200), "\(shares.reduce(0, +) / 200)")
    let alone = try Self.batch(.init(flip: 0.5), step: 0)
    #expect(alone.targets == nil && alone.labels == [0, 1, 2, 3, 4, 5])
    // Images in memory have the size already; those in files are enlarged and cut.
    let level = try ImageDataset(
      name: "one", channels: 3, height: 40, width: 40, classes: 1, pixels: (0..<4800).map { UInt8($0 % 251) },
      labels: [0])
    let draw = Augmentation.Draw(.init(flip: 1e-9), seed: 0, stream: "", noise: Self.noise)
    #expect(try level.batch([0], draw).images == level.image(0))
  }
}

@Suite struct ImageFolderTests {
  let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  /// A JPEG of one colour at `path` below the directory.
  private func write(_ path: String, _ color: [UInt8], height: Int = 20, width: Int = 30) throws {
    let file = URL(fileURLWithPath: "\(directory.path)/\(path)")
    try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    let encoder = try #require(tjInitCompress())
    defer { tjDestroy(encoder) }
    let pixels = (0..<height * width).flatMap { _ in color }
    var (data, size): (UnsafeMutablePointer<UInt8>?, UInt) = (nil, 0)
    let status = tjCompress2(
      encoder, pixels, Int32(width), 0, Int32(height), TJPF_RGB.rawValue, &data, &size, Int32(TJSAMP_444.rawValue), 95,
      0)
    #expect(status == 0)
    try Data(bytes: try #require(data), count: Int(size)).write(to: file)
    tjFree(data)
  }

  private func text(_ path: String, _ text: String) throws {
    try FileManager.default.createDirectory(atPath: directory.path, withIntermediateDirectories: true)
    try text.write(toFile: "\(directory.path)/\(path)", atomically: true, encoding: .utf8)
  }

  /// Level of the first channel of each image, and its label.
  private func contents(_ files: ImageFiles, size: Int = 16) throws -> [[Int]] {
    let set = try ImageDataset(name: "files", files: files, size: size)
    let batch = try set.batch(Array(0..<set.count))
    return (0..<set.count).map { [Int(batch.images[$0 * 3 * size * size]), Int(batch.labels[$0])] }
  }

  @Test func foldersOfClasses() throws {
    for (path, level) in [
      ("train/cat/b.JPEG", 20), ("train/cat/a.jpg", 40), ("train/ant/z.jpeg", 60), ("val/ant/1.jpg", 80),
      ("val/cat/1.jpg", 100),
    ] {
      try write(path, [UInt8(level), 0, 0])
    }
    try text("train/cat/notes.txt", "no image")
    try text("train/list.csv", "no class")
    #expect(try contents(.folder(directory.path, .train)) == [[60, 0], [40, 1], [20, 1]])
    #expect(try contents(.folder(directory.path, .test)) == [[80, 0], [100, 1]])
    try FileManager.default.removeItem(atPath: directory.path + "/val")
    let path = directory.path + "/val"
    let error = storageError(naming: path) { _ = try ImageFiles.folder(directory.path, .test) }
    #expect(error?.isMissing == true)
  }

  @Test func tinyImageNet() throws {
    for (path, level) in [
      ("train/n02/images/n02_0.JPEG", 20), ("train/n01/images/n01_0.JPEG", 40), ("val/images/val_1.JPEG", 60),
      ("val/images/val_0.JPEG", 80),
    ] {
      try write(path, [UInt8(level), 0, 0])
    }
    try text("train/n02/n02_boxes.txt", "n02_0.JPEG\t0\t0\t1\t1\n")
    try text("val/val_annotations.txt", "val_1.JPEG\tn01\t0\t32\t44\t62\nval_0.JPEG\tn02\t3\t3\t9\t9\n")
    #expect(try contents(.tinyImageNet(directory.path, .train)) == [[40, 0], [20, 1]])
    #expect(try contents(.tinyImageNet(directory.path, .test)) == [[80, 1], [60, 0]])
    try text("val/val_annotations.txt", "val_1.JPEG\tn09\t0\t32\t44\t62\n")
    let path = directory.path + "/val/val_annotations.txt"
    #expect(storageError(naming: path) { _ = try ImageFiles.tinyImageNet(directory.path, .test) }?.isCorrupt == true)
    try text("val/val_annotations.txt", "val_1.JPEG\n")
    #expect(storageError(naming: path) { _ = try ImageFiles.tinyImageNet(directory.path, .test) }?.isCorrupt == true)
  }

  @Test func cub() throws {
    for (path, level) in [("images/001.A/a.jpg", 20), ("images/001.A/b.jpg", 40), ("images/002.B/c.jpg", 60)] {
      try write(path, [UInt8(level), 0, 0])
    }
    try text("images.txt", "1 001.A/a.jpg\n2 001.A/b.jpg\n3 002.B/c.jpg\n")
    try text("image_class_labels.txt", "1 1\n2 1\n3 2\n")
    try text("train_test_split.txt", "1 0\n2 1\n3 1\n")
    #expect(try contents(.cub(directory.path, .train)) == [[40, 0], [60, 1]])
    #expect(try contents(.cub(directory.path, .test)) == [[20, 0]])
    #expect(try ImageFiles.cub(directory.path, .test).classes == 2)
    try text("image_class_labels.txt", "1 1\n2 1\n")
    let path = directory.path + "/images.txt"
    #expect(storageError(naming: path) { _ = try ImageFiles.cub(directory.path, .train) }?.isCorrupt == true)
  }

  @Test func aDamagedFileIsNamedByTheBatch() throws {
    for i in 0..<8 { try write("train/a/\(i).jpg", [UInt8(20 * i), 0, 0]) }
    let path = directory.path + "/train/a/5.jpg"
    try Data(bytes(of: path).prefix(200)).write(to: URL(fileURLWithPath: path))
    let set = try ImageDataset(name: "files", files: .folder(directory.path, .train), size: 16)
    #expect(storageError(naming: path) { _ = try set.batch(Array(0..<8)) } != nil)
    #expect(try set.batch([0, 1, 7]).images.count == 3 * 3 * 256)
    // Views list the files; they do not read them.
    #expect(try set.split(validation: 2, seed: 0).train.count == 6 && set.balanced(8, seed: 0).count == 8)
  }
}
