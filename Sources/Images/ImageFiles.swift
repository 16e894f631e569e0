import Foundation
import Storage

/// Image files with their classes, as the published data sets lie in their directories. Classes count in the order of their
/// directories' names, as in torchvision's `ImageFolder`.
package struct ImageFiles: Sendable {
  let paths: [String]
  let labels: [UInt32]
  let classes: Int

  /// `train` and `val`, each with a directory of images for every class: ImageNet-1k, and the usual form of one's own.
  package static func folder(_ directory: String, _ split: ImageDataset.Split) throws(StorageError) -> ImageFiles {
    try byClass(directory + (split == .train ? "/train" : "/val"))
  }

  /// Tiny-ImageNet: `train/CLASS/images`, and `val/images` with `val_annotations.txt`, a file name and its class a line.
  /// The images in `test` have no labels, so the validation images are those to test on.
  package static func tinyImageNet(_ directory: String, _ split: ImageDataset.Split) throws(StorageError) -> ImageFiles
  {
    guard split == .test else { return try byClass(directory + "/train", inner: "/images") }
    let names = try entries(directory + "/train", directories: true)
    let place = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, UInt32($0)) })
    let path = directory + "/val/val_annotations.txt"
    var images: [(path: String, label: UInt32)] = []
    for line in try lines(path, fields: 2) {
      guard let label = place[line[1]] else {
        throw .corrupt(path: path, detail: "class \(StorageError.quoted(line[1])) has no directory in train")
      }
      images.append((directory + "/val/images/" + line[0], label))
    }
    images.sort { $0.path < $1.path }
    return ImageFiles(paths: images.map(\.path), labels: images.map(\.label), classes: names.count)
  }

  /// CUB-200-2011 (Wah et al. 2011): `images.txt`, `image_class_labels.txt` and `train_test_split.txt`, an image's number
  /// and what it says of it a line; the images themselves are in `images`.
  package static func cub(_ directory: String, _ split: ImageDataset.Split) throws(StorageError) -> ImageFiles {
    func table(_ name: String) throws(StorageError) -> [(number: String, value: String)] {
      try lines("\(directory)/\(name)", fields: 2).map { ($0[0], $0[1]) }
    }
    func lookup(_ name: String) throws(StorageError) -> [String: Int] {
      var values: [String: Int] = [:]
      for (number, value) in try table(name) { values[number] = Int(value) }
      return values
    }
    let (labels, isTraining) = (try lookup("image_class_labels.txt"), try lookup("train_test_split.txt"))
    let classes = labels.values.max() ?? 0
    var (paths, chosen): ([String], [UInt32]) = ([], [])
    for (number, path) in try table("images.txt") {
      guard let label = labels[number], 1...classes ~= label, let training = isTraining[number] else {
        throw .corrupt(
          path: "\(directory)/images.txt",
          detail: "image \(number) has no line in image_class_labels.txt or train_test_split.txt")
      }
      guard (training == 1) == (split == .train) else { continue }
      paths.append("\(directory)/images/\(path)")
      chosen.append(UInt32(label - 1))
    }
    return ImageFiles(paths: paths, labels: chosen, classes: classes)
  }

  private static let advice = "name the directory that holds the unpacked data set"

  private static func byClass(_ directory: String, inner: String = "") throws(StorageError) -> ImageFiles {
    let names = try entries(directory, directories: true)
    var (paths, labels): ([String], [UInt32]) = ([], [])
    for (label, name) in names.enumerated() {
      let folder = "\(directory)/\(name)\(inner)"
      for file in try entries(folder, directories: false) where isImage(file) {
        paths.append("\(folder)/\(file)")
        labels.append(UInt32(label))
      }
    }
    guard !paths.isEmpty else {
      throw .missing(
        path: directory, advice: "there are no .jpg, .jpeg or .png files in directories CLASS\(inner) of it")
    }
    return ImageFiles(paths: paths, labels: labels, classes: names.count)
  }

  private static func isImage(_ name: String) -> Bool {
    [".jpg", ".jpeg", ".png"].contains { name.lowercased().hasSuffix($0) }
  }

  /// Sorted by the bytes of their names; hidden ones left out.
  private static func entries(_ directory: String, directories: Bool) throws(StorageError) -> [String] {
    guard let stream = opendir(directory) else {
      throw errno == ENOENT
        ? .missing(path: directory, advice: advice)
        : .system(action: "list", path: directory, code: errno)
    }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      guard !name.hasPrefix(".") else { continue }
      if directories {
        var status = stat()
        guard stat("\(directory)/\(name)", &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { continue }
      }
      names.append(name)
    }
    return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  /// The first `fields` words of every line, which are parted by blanks or tabs.
  private static func lines(_ path: String, fields: Int) throws(StorageError) -> [[String]] {
    let file = try MappedFile(path, advice: advice)
    let text = file.withBytes { String(decoding: $0, as: UTF8.self) }
    var lines: [[String]] = []
    for (number, line) in text.split(whereSeparator: \.isNewline).enumerated() {
      let words = line.split(maxSplits: fields, whereSeparator: \.isWhitespace).prefix(fields).map(String.init)
      guard words.count == fields else {
        throw .corrupt(path: path, detail: "line \(number + 1) has \(words.count) words, not \(fields) or more")
      }
      lines.append(words)
    }
    return lines
  }
}
