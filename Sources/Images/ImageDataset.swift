import Dispatch
import Random
import Storage
import Synchronization

/// Labelled images, all of one size for a model: in memory, or in files that are read when a batch needs them. Splits are
/// views: they share the images and differ in the samples they list.
package struct ImageDataset: Sendable {
  package enum Split: String, Sendable, CaseIterable {
    case train, test
  }

  private enum Source: Sendable {
    /// (samples, channels, height, width), row-major
    case memory([UInt8])
    case files([String])
  }

  package let name: String
  package let channels: Int
  package let height: Int
  package let width: Int
  /// Labels are in 0..<classes.
  package let classes: Int
  private let source: Source
  private let labels: [UInt32]
  /// Samples of `source` and `labels`.
  private var samples: [Int]

  private init(
    name: String, channels: Int, height: Int, width: Int, classes: Int, source: Source, labels: [UInt32]
  ) throws(StorageError) {
    guard labels.allSatisfy({ $0 < classes }) else {
      throw .invalid("\(name): label \(labels.max() ?? 0) where there are \(classes) classes")
    }
    self.name = name
    self.channels = channels
    self.height = height
    self.width = width
    self.classes = classes
    self.source = source
    self.labels = labels
    samples = Array(labels.indices)
  }

  /// - Parameters:
  ///   - pixels: (samples, channels, height, width), row-major
  ///   - labels: (samples), each below `classes`
  package init(
    name: String, channels: Int, height: Int, width: Int, classes: Int, pixels: [UInt8],
    labels: [some FixedWidthInteger]
  ) throws(StorageError) {
    guard channels > 0, height > 0, width > 0, pixels.count == labels.count * channels * height * width else {
      throw .invalid(
        "\(name): \(pixels.count) pixels are not \(labels.count) images of \(channels) x \(height) x \(width)")
    }
    try self.init(
      name: name, channels: channels, height: height, width: width, classes: classes, source: .memory(pixels),
      labels: labels.map { UInt32($0) })
  }

  /// Colour images out of files, framed to squares of `size` (`Picture.framed`).
  package init(name: String, files: ImageFiles, size: Int) throws(StorageError) {
    try self.init(
      name: name, channels: 3, height: size, width: size, classes: files.classes, source: .files(files.paths),
      labels: files.labels)
  }

  package var count: Int { samples.count }
  package var imageSize: Int { channels * height * width }

  package func label(_ index: Int) -> Int { Int(labels[samples[index]]) }

  /// (channels, height, width)
  package func image(_ index: Int) throws(StorageError) -> [UInt8] {
    switch source {
    case .memory(let pixels): Array(pixels[samples[index] * imageSize..<(samples[index] + 1) * imageSize])
    case .files(let paths): try Picture(reading: paths[samples[index]]).framed(to: height).planes
    }
  }

  var isInMemory: Bool { if case .memory = source { true } else { false } }

  /// The image as it is stored, of any size where it is in a file.
  func picture(_ index: Int) throws(StorageError) -> Picture {
    switch source {
    case .memory: Picture(height: height, width: width, planes: try image(index)[...])
    case .files(let paths): try Picture(reading: paths[samples[index]])
    }
  }

  /// The images (batch, channels, height, width) and labels (batch) at `indices` of this view.
  package func batch(_ indices: [Int]) throws(StorageError) -> ImageBatch {
    let labels = indices.map { self.labels[samples[$0]] }
    guard case .memory(let pixels) = source else {
      return ImageBatch(
        images: try rendered(indices.count) { (i) throws(StorageError) in try image(indices[i]) }, labels: labels)
    }
    let images = [UInt8](unsafeUninitializedCapacity: indices.count * imageSize) { buffer, count in
      pixels.withUnsafeBufferPointer { pixels in
        for index in indices {
          let start = samples[index] * imageSize
          count = buffer[count...].initialize(fromContentsOf: pixels[start..<start + imageSize])
        }
      }
    }
    return ImageBatch(images: images, labels: labels)
  }

  /// Images that `render` makes on all processors at once, (count, channels, height, width).
  /// - Throws: the error of the first image, in their order, that has one.
  func rendered(
    _ count: Int, _ render: @Sendable (Int) throws(StorageError) -> [UInt8]
  ) throws(StorageError) -> [UInt8] {
    let size = imageSize
    let failure = Mutex<(image: Int, error: StorageError)?>(nil)
    var images = [UInt8](repeating: 0, count: count * size)
    images.withUnsafeMutableBufferPointer { images in
      // Each iteration writes its own part.
      nonisolated(unsafe) let parts = images
      DispatchQueue.concurrentPerform(iterations: count) { i in
        do throws(StorageError) {
          _ = parts[i * size..<(i + 1) * size].update(fromContentsOf: try render(i))
        } catch {
          failure.withLock { if i < $0?.image ?? .max { $0 = (i, error) } }
        }
      }
    }
    if let failure = failure.withLock({ $0 }) { throw failure.error }
    return images
  }

  /// The images in the middle of larger, black ones; those in files are framed to their size instead.
  /// - Parameter size: of both sides; no smaller than they are, by an even number.
  package func padded(to size: Int) throws(StorageError) -> ImageDataset {
    guard size != height || size != width, case .memory(let pixels) = source else { return self }
    guard size >= height, size >= width, (size - height) % 2 == 0, (size - width) % 2 == 0 else {
      throw .invalid("\(name): images of \(height) x \(width) cannot be padded evenly to \(size) x \(size)")
    }
    let (top, left) = ((size - height) / 2, (size - width) / 2)
    var padded = [UInt8](repeating: 0, count: labels.count * channels * size * size)
    for plane in 0..<labels.count * channels {
      for y in 0..<height {
        let (from, to) = ((plane * height + y) * width, (plane * size + top + y) * size + left)
        padded.replaceSubrange(to..<to + width, with: pixels[from..<from + width])
      }
    }
    var larger = try ImageDataset(
      name: name, channels: channels, height: size, width: size, classes: classes, source: .memory(padded),
      labels: labels)
    larger.samples = samples
    return larger
  }

  /// The images of `ways` classes that `seed` draws, labelled 0 ..< ways in the order of the classes.
  package func classes(_ ways: Int, seed: UInt64) throws(StorageError) -> ImageDataset {
    guard 1...classes ~= ways else { throw .invalid("\(name): cannot choose \(ways) of \(classes) classes") }
    var random = CounterRandom(seed: seed, stream: "few-shot classes")
    let chosen = random.shuffled(classes).prefix(ways).sorted()
    let place = Dictionary(uniqueKeysWithValues: chosen.enumerated().map { (UInt32($1), UInt32($0)) })
    var part = try ImageDataset(
      name: name, channels: channels, height: height, width: width, classes: ways, source: source,
      labels: labels.map { place[$0] ?? 0 })
    part.samples = samples.filter { place[labels[$0]] != nil }
    return part
  }

  /// Holds back `validation` samples, drawn by `seed` alone; both views keep the order of this one.
  package func split(
    validation: Int, seed: UInt64
  ) throws(StorageError) -> (train: ImageDataset, validation: ImageDataset) {
    guard validation >= 0, validation < count else {
      throw .invalid("\(name): cannot hold back \(validation) of \(count) samples for validation")
    }
    var random = CounterRandom(seed: seed, stream: "validation split")
    let held = Set(random.shuffled(count).prefix(validation))
    var (train, other) = (self, self)
    train.samples = samples.indices.filter { !held.contains($0) }.map { samples[$0] }
    other.samples = samples.indices.filter { held.contains($0) }.map { samples[$0] }
    return (train, other)
  }

  /// `number` samples, as many of each class as of the others, or one more: the first of an order drawn by `seed` in which
  /// the classes take turns. Fewer are a part of more.
  package func balanced(_ number: Int, seed: UInt64) throws(StorageError) -> ImageDataset {
    guard number > 0, number <= count else {
      throw .invalid("\(name): cannot take \(number) of \(count) samples")
    }
    var random = CounterRandom(seed: seed, stream: "balanced order")
    var seen = [Int](repeating: 0, count: classes)
    let turns = random.shuffled(count).map { index in
      seen[label(index)] += 1
      return (turn: seen[label(index)], label: label(index), index: index)
    }
    var part = self
    part.samples = turns.sorted { ($0.turn, $0.label) < ($1.turn, $1.label) }.prefix(number).map { samples[$0.index] }
    return part
  }
}

package struct ImageBatch: Sendable, Equatable {
  /// (batch, channels, height, width)
  package var images: [UInt8]
  /// (batch)
  package var labels: [UInt32]
  /// (batch, classes): what each image shows of each class, where images were mixed.
  package var targets: [Float]?
}

extension ImageDataset {
  /// Fashion-MNIST (Xiao et al. 2017): 60,000 + 10,000 grey images of 28 x 28 in 10 classes, as the files of Debian's
  /// package `dataset-fashion-mnist`.
  package static func fashionMNIST(
    directory: String = "/usr/share/datasets/fashion-mnist", split: Split
  ) throws(StorageError) -> ImageDataset {
    let stem = "\(directory)/\(split == .train ? "train" : "t10k")"
    let advice = "apt-get install dataset-fashion-mnist, or name the directory that holds its four files"
    let images = try IDXFile(reading: "\(stem)-images-idx3-ubyte.gz", advice: advice)
    let labels = try IDXFile(reading: "\(stem)-labels-idx1-ubyte.gz", advice: advice)
    guard images.dimensions.count == 3, Array(images.dimensions[1...]) == [28, 28],
      labels.dimensions == [images.dimensions[0]]
    else {
      throw .corrupt(
        path: "\(stem)-*",
        detail: "images \(images.dimensions) and labels \(labels.dimensions), not (n, 28, 28) and (n)")
    }
    return try ImageDataset(
      name: "Fashion-MNIST \(split)", channels: 1, height: 28, width: 28, classes: 10,
      pixels: images.bytes, labels: labels.bytes)
  }
}
