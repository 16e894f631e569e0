import Images
import Models
import NN
import Storage

/// Images as a recipe names them.
package struct DataSettings: Sendable {
  package enum Kind: String, Sendable, CaseIterable {
    case fashionMNIST = "fashion-mnist"
    case mnist
    case imageNet = "imagenet"
    case tinyImageNet = "tiny-imagenet"
    case cub = "cub-200"
    /// One's own, laid out as ImageNet.
    case folder

    /// The published size of the training set.
    var count: Int? {
      switch self {
      case .fashionMNIST, .mnist: 60_000
      case .imageNet: 1_281_167
      case .tinyImageNet: 100_000
      case .cub: 5_994
      case .folder: nil
      }
    }

    var classes: Int? {
      switch self {
      case .fashionMNIST, .mnist: 10
      case .imageNet: 1000
      case .tinyImageNet, .cub: 200
      case .folder: nil
      }
    }

    /// All images in one file, not each in its own.
    var isArray: Bool { self == .fashionMNIST || self == .mnist }

    /// Why a model of that kind cannot take these images; nil where it can.
    func misfit(size: Int, channels: Int, classes: Int) -> String? {
      guard isArray else { return nil }
      return 28...64 ~= size && size % 2 == 0 && channels == 1 && classes == 10
        ? nil : "\(rawValue) has 28x28 images (an even size up to 64 pads them), 1 channel and 10 classes"
    }
  }

  package let kind: Kind
  package let directory: String
  /// Of the training set.
  package let images: Int
  /// Training images set aside to choose by.
  package let validation: Int
  /// Training images that the student's phases and their controls see; nil for all.
  package let studentImages: Int?
  /// What happens to images to learn from; nil for nothing.
  package let augmentation: Augmentation?

  /// Images left to train on.
  package var trainingImages: Int { images - validation }

  init(_ reader: RecipeReader) throws(RecipeError) {
    kind = try reader.choice("set")
    directory = try reader.string("directory", kind == .fashionMNIST ? "/usr/share/datasets/fashion-mnist" : nil)
    // Not among the resolved settings unless given, so that a run of an older recipe still continues.
    if let count = kind.count, kind.isArray || !reader.has("images") {
      images = count
    } else {
      images = try reader.int("images", in: 1...Int(Int32.max))
    }
    validation = try reader.int("validation", 5_000, in: 0...50_000)
    guard validation < images else {
      throw reader.error("validation", "\(validation) images, but there are only \(images)")
    }
    studentImages = reader.has("student_images") ? try reader.int("student_images", in: 1...Int(Int32.max)) : nil
    augmentation =
      reader.has("augmentation") ? try reader.section("augmentation") { (r) throws(RecipeError) in try .init(r) } : nil
    if let studentImages, studentImages > trainingImages {
      throw reader.error("student_images", "\(studentImages) images, but there are only \(trainingImages) to train on")
    }
  }
}

extension Augmentation {
  fileprivate init(_ reader: RecipeReader) throws(RecipeError) {
    self.init(
      crop: try reader.optionalDouble("crop", in: 1e-3...1), flip: try reader.double("flip", 0, in: 0...1),
      randAugment: try reader.optionalDouble("rand_augment", in: 0...10),
      erasing: try reader.double("erasing", 0, in: 0...1),
      // The beta distribution is drawn by a method for parameters about 1.
      mixup: try reader.optionalDouble("mixup", in: 0.1...4), cutmix: try reader.optionalDouble("cutmix", in: 0.1...4))
  }
}

extension DataSettings {
  /// Reads the data set, or where it is large the list of its files.
  /// - Parameter size: of the images that a model takes.
  /// - Throws: `StorageError`; also where its training images are not as many as the recipe reckons epochs with.
  func dataset(_ split: ImageDataset.Split, size: Int) throws(StorageError) -> ImageDataset {
    let files: ImageFiles
    switch kind {
    case .fashionMNIST, .mnist:
      return try ImageDataset.fashionMNIST(directory: directory, split: split).padded(to: size)
    case .imageNet, .folder: files = try .folder(directory, split)
    case .tinyImageNet: files = try .tinyImageNet(directory, split)
    case .cub: files = try .cub(directory, split)
    }
    let set = try ImageDataset(name: "\(kind.rawValue) \(split)", files: files, size: size)
    guard split == .test || set.count == images else {
      throw .invalid(
        "\(directory): \(set.count) images to train on, but the recipe reckons with \(images); "
          + "complete the data set, or say `images: \(set.count)` in the recipe's data")
    }
    return set
  }

  /// The same, of the classes that a model of `task` tells apart.
  func dataset(_ split: ImageDataset.Split, for task: ImageTask) throws(StorageError) -> ImageDataset {
    let set = try dataset(split, size: task.size)
    guard set.classes == task.classes, set.channels == task.channels else {
      throw .invalid(
        "\(directory): images of \(set.channels) channels in \(set.classes) classes, but the recipe's image says "
          + "channels: \(task.channels), classes: \(task.classes)")
    }
    return set
  }

  /// What becomes of a step's images; nil if they stay as they are.
  /// - Parameter stream: of the step alone.
  func draw(_ task: ImageTask, seed: UInt64, stream: String) -> Augmentation.Draw? {
    augmentation.map {
      let normal = task.normalization
      return .init(
        $0, seed: seed, stream: stream,
        noise: zip(normal.mean, normal.std).map { (mean: Double($0), deviation: Double($1)) })
    }
  }
}

/// The images of a run's tasks.
package struct TrainingImages: Sendable {
  /// Of meta model, teacher and student modules.
  package let taught: ImageDataset
  /// Of the whole student.
  package let target: ImageDataset
  /// What few-shot adaptation learns from, where the run has it.
  package let support: ImageDataset?

  package init(taught: ImageDataset, target: ImageDataset? = nil, support: ImageDataset? = nil) {
    self.taught = taught
    self.target = target ?? taught
    self.support = support
  }
}
