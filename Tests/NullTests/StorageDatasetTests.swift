import CZlib
import Foundation
import Testing

@testable import Images
@testable import Storage

@Suite struct StorageIDXTests {
  let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  private static let plain: [UInt8] =
    [0, 0, 8, 2, 0, 0, 0, 3, 0, 0, 0, 100] + (0..<300).map { UInt8(truncatingIfNeeded: $0 * $0) }

  private func compressed(_ bytes: [UInt8] = plain) throws -> [UInt8] {
    let path = try directory.file("made.gz")
    let file = try #require(gzopen(path, "wb"))
    #expect(bytes.withUnsafeBytes { gzwrite(file, $0.baseAddress, UInt32($0.count)) } == Int32(bytes.count))
    #expect(gzclose(file) == Z_OK)
    return try NullTests.bytes(of: path)
  }

  private func error(_ bytes: [UInt8]) throws -> StorageError? {
    let path = try directory.file("test-idx", bytes)
    return storageError(naming: path) { _ = try IDXFile(reading: path) }
  }

  @Test func readsPlainAndCompressed() throws {
    for bytes in try [Self.plain, compressed()] {
      let file = try IDXFile(reading: directory.file("idx", bytes))
      #expect(file.dimensions == [3, 100])
      #expect(file.bytes == Array(Self.plain[12...]))
    }
  }

  @Test func everyTruncationIsNoticed() throws {
    for count in 0..<Self.plain.count { #expect(try error(Array(Self.plain.prefix(count)))?.isTruncated == true) }
    let whole = try compressed()
    // One byte of a gzip file is no gzip file yet.
    for count in 2..<whole.count {
      let error = try error(Array(whole.prefix(count)))
      #expect(error?.isTruncated == true, "\(count) of \(whole.count): \(String(describing: error))")
    }
    #expect(try error(Self.plain + [0])?.isCorrupt == true)
    #expect(try error(compressed(Self.plain + [0]))?.isCorrupt == true)
    #expect(try error(compressed(Self.plain.dropLast()))?.isTruncated == true)
  }

  /// Some bits mean nothing: gzip's time and system, the padding after the last block. No flip changes what is read.
  @Test func everyBitFlipOfCompressedDataIsNoticedOrHarmless() throws {
    let whole = try compressed()
    var harmless = 0
    for bit in 0..<8 * whole.count {
      var flipped = whole
      flipped[bit / 8] ^= 1 << (bit % 8)
      let path = try directory.file("flipped", flipped)
      var read: IDXFile?
      if storageError(naming: path, { read = try IDXFile(reading: path) }) == nil {
        harmless += 1
        #expect(read?.dimensions == [3, 100] && read?.bytes == Array(Self.plain[12...]), "bit \(bit)")
      }
    }
    #expect(harmless < 80)
  }

  @Test func foreignAndAbsurdFilesAreNamed() throws {
    #expect(try error(Array("PNG or whatever".utf8))?.isForeign == true)
    #expect(try error([0, 0, 0x0d, 1, 0, 0, 0, 0])?.isForeign == true)
    #expect(try error([0, 0, 8, 9, 0, 0, 0, 0])?.isForeign == true)
    let big = [UInt8](repeating: 255, count: 16)
    #expect(try error([0, 0, 8, 4] + big)?.isCorrupt == true)
    #expect(try error([0, 0, 8, 1] + big)?.isTruncated == true)
  }

  @Test func missingFileSaysWhatToInstall() throws {
    let error = storageError(naming: directory.path) {
      _ = try ImageDataset.fashionMNIST(directory: directory.path, split: .train)
    }
    #expect(error.map { "\($0)".contains("apt-get install dataset-fashion-mnist") } == true)
  }
}

@Suite struct StorageImageDatasetTests {
  /// Eight images of 1 x 2 x 2 whose pixels are all their number.
  private func small() throws -> ImageDataset {
    try ImageDataset(
      name: "small", channels: 1, height: 2, width: 2, classes: 3, pixels: (0..<32).map { $0 / 4 },
      labels: (0..<8).map { $0 % 3 })
  }

  @Test func batchesHoldTheRightImages() throws {
    let data = try small()
    #expect(data.count == 8 && data.imageSize == 4)
    #expect(try data.batch([5, 0, 5]) == ImageBatch(images: [5, 5, 5, 5, 0, 0, 0, 0, 5, 5, 5, 5], labels: [2, 0, 2]))
    #expect(try data.image(7) == [7, 7, 7, 7] && data.label(7) == 1)
    #expect(try data.batch([]) == ImageBatch(images: [], labels: []))
  }

  @Test func splitIsDeterministicAndDisjoint() throws {
    let data = try small()
    let (train, validation) = try data.split(validation: 3, seed: 1)
    func numbers(_ view: ImageDataset) throws -> [Int] {
      try (0..<view.count).map { Int(try view.image($0).first ?? 99) }
    }
    #expect(train.count == 5 && validation.count == 3)
    #expect(try (numbers(train) + numbers(validation)).sorted() == Array(0..<8))
    #expect(try numbers(train) == numbers(train).sorted() && numbers(validation) == numbers(validation).sorted())
    #expect(try numbers(data.split(validation: 3, seed: 1).validation) == numbers(validation))
    let others = try (2..<10).map { try numbers(data.split(validation: 3, seed: $0).validation) }
    #expect(Set(others).count > 3)
    // A view of a view.
    let inner = try train.split(validation: 2, seed: 1).validation
    #expect(try Set(numbers(inner)).isSubset(of: numbers(train)))
    #expect(try inner.batch([1]).images == inner.image(1) && inner.batch([1]).labels == [UInt32(inner.label(1))])
    for count in [-1, 8] { #expect(throws: StorageError.self) { try data.split(validation: count, seed: 1) } }
  }

  @Test func balancedPartsTakeClassesInTurn() throws {
    // 30 samples of class 0, 20 of class 1, 3 of class 2; the pixel is the sample's number.
    let labels: [UInt8] = (0..<53).map { $0 < 30 ? 0 : $0 < 50 ? 1 : 2 }
    let data = try ImageDataset(
      name: "uneven", channels: 1, height: 1, width: 1, classes: 3, pixels: (0..<53).map { UInt8($0) }, labels: labels)
    func numbers(_ count: Int, seed: UInt64 = 0) throws -> [UInt8] {
      try data.balanced(count, seed: seed).batch(Array(0..<count)).images
    }
    func perClass(_ count: Int) throws -> [Int] {
      let part = try data.balanced(count, seed: 0)
      return (0..<3).map { label in (0..<count).count { part.label($0) == label } }
    }
    #expect(try perClass(9) == [3, 3, 3] && perClass(8) == [3, 3, 2] && perClass(20) == [9, 8, 3])
    #expect(try perClass(53) == [30, 20, 3] && Set(numbers(53)).count == 53)
    #expect(try numbers(9) == numbers(9) && Array(numbers(20).prefix(9)) == numbers(9))
    #expect(try numbers(9) != numbers(9, seed: 1))
    // Drawn, not the first of each class.
    #expect(try Set(numbers(6)) != [0, 1, 30, 31, 50, 51])
    for count in [0, 54] {
      #expect(throws: StorageError.invalid("uneven: cannot take \(count) of 53 samples")) {
        try data.balanced(count, seed: 0)
      }
    }
  }

  @Test func refusesWhatDoesNotFit() {
    #expect(throws: StorageError.invalid("x: 5 pixels are not 1 images of 1 x 2 x 2")) {
      try ImageDataset(
        name: "x", channels: 1, height: 2, width: 2, classes: 3, pixels: [0, 0, 0, 0, 0], labels: [0])
    }
    #expect(throws: StorageError.invalid("x: label 3 where there are 3 classes")) {
      try ImageDataset(name: "x", channels: 1, height: 1, width: 1, classes: 3, pixels: [0], labels: [3])
    }
  }

  @Test(.enabled(if: FileManager.default.fileExists(atPath: "/usr/share/datasets/fashion-mnist"), "data set installed"))
  func fashionMNIST() throws {
    let test = try ImageDataset.fashionMNIST(split: .test)
    #expect(test.count == 10_000 && test.imageSize == 784)
    var perClass = [Int](repeating: 0, count: 10)
    for index in 0..<test.count { perClass[test.label(index)] += 1 }
    #expect(perClass == [Int](repeating: 1000, count: 10))
    // Mean of the pixels, as published with the set for its training half: 0.2860; the test half's is 0.2868.
    let batch = try test.batch(Array(stride(from: 0, to: 10_000, by: 10)))
    let mean = Double(batch.images.reduce(0) { $0 + Int($1) }) / Double(batch.images.count) / 255
    #expect(abs(mean - 0.2868) < 0.01)
  }
}
