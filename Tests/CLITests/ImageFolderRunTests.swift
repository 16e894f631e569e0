import Foundation
import TestSupport
import Testing

/// Runs on images in files: modules learn on one data set, the whole circuit on another of smaller images.
@Suite(.serialized, .enabled(if: TestDevice.isPresent, TestDevice.absence))
struct ImageFolderRunTests {
  let scratch: TemporaryDirectory

  init() throws { scratch = try TemporaryDirectory() }

  private static let files = ["color.jpg", "color.png", "grey.jpg", "progressive.jpg", "palette.png"]

  /// `count` images of each of three classes.
  private func writeImages(_ directory: String, _ classes: String..., count: Int) throws {
    let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Fixtures/images")
    for (number, name) in classes.enumerated() {
      for image in 0..<count {
        let file = Self.files[(image + number) % Self.files.count]
        let bytes = try Data(contentsOf: fixtures.appendingPathComponent(file))
        try scratch.write("\(directory)/\(name)/\(image)-\(file)", bytes)
      }
    }
  }

  private func writeRecipe(images: Int = 12, size: Int = 48) throws {
    let phase = "{steps: 2, batch: 4, accumulate: 2, learning_rate: 1.0e-3, warmup: 1}"
    let augmentation = "{crop: 0.08, flip: 0.5, rand_augment: 9, erasing: 0.25, mixup: 0.8, cutmix: 1.0}"
    let text = """
      name: folders
      data: {set: folder, directory: photos, images: \(images), validation: 0, augmentation: \(augmentation)}
      image: {size: \(size), channels: 3, patch: 24, classes: 3, mean: [0.5, 0.4, 0.3], std: [0.2, 0.2, 0.2]}
      target:
        data: {set: folder, directory: icons, images: 8, validation: 2, augmentation: {crop: 0.08, flip: 0.5}}
        image: {size: 16, channels: 3, patch: 8, classes: 2, mean: [0.5, 0.4, 0.3], std: [0.2, 0.2, 0.2]}
      initialization: {linear_std: 0.1, experts: linear}
      meta: {depths: [1, 1, 1]}
      teacher: {features: 16, heads: 2, mlp_ratio: 1, depths: [1, 1, 1]}
      student:
        {kind: circuit, state: 16, code: 12, heads: 2, head_features: 8, grid_features: 4, inputs: 4, mediators: 6,
         outputs: 3, signature: 8, prior: {graph: ring-of-cliques, cliques: 3, size: 2, steps: 20},
         regularizer: {kind: hinge, hinge: 0.4, weight: 0.1}}
      phases:
        PT: \(phase)
        MT: \(phase)
        FT: \(phase)
        m2mKD: \(phase)
        E2E: {steps: 2, batch: 3, learning_rate: 1.0e-3, warmup: 1}
        FS: {steps: 2, batch: 4, learning_rate: 1.0e-3}
      few_shot: {data: {set: folder, directory: photos, images: \(images), validation: 0}, ways: 2, shots: 2}
      evaluation: {corruptions: [contrast], severity: 3, images: 4}
      """
    try scratch.write("recipe.yml", Data(text.utf8))
  }

  @Test func wholeRun() throws {
    try writeImages("photos/train", "ant", "bee", "cat", count: 4)
    try writeImages("photos/val", "ant", "bee", "cat", count: 3)
    try writeImages("icons/train", "x", "y", count: 4)
    try writeImages("icons/val", "x", "y", count: 2)
    try writeRecipe()
    let whole = try Graft.run("run", "recipe.yml", "--output", "whole", in: scratch)
    #expect(whole.status == 0 && whole.errors.isEmpty, "\(whole)")
    // Meta model and teacher are tested on nine photographs, the students on four icons.
    for (model, images) in [("meta", 9), ("student", 4), ("few-shot", 6)] {
      let path = "whole/checkpoints/\(model).safetensors"
      let evaluated = try Graft.run("evaluate", path, in: scratch)
      #expect(evaluated.status == 0 && evaluated.output.contains("\(images) "), "\(evaluated)")
    }
    let again = try Graft.run("run", "recipe.yml", "--phase", "PT", "--output", "again", in: scratch)
    #expect(again.status == 0)
    let meta = "checkpoints/meta.safetensors"
    #expect(try scratch.bytes("again/\(meta)") == scratch.bytes("whole/\(meta)"))
  }

  @Test func whatDoesNotFitIsSaidFirst() throws {
    try writeImages("photos/train", "ant", "bee", count: 4)
    try writeImages("photos/val", "ant", "bee", count: 3)
    try writeRecipe()
    func refused(_ text: String) throws {
      expectRefusal(try Graft.run("run", "recipe.yml", "--output", "refused", in: scratch), text)
      #expect(!scratch.exists("refused/checkpoints/meta.safetensors"))
    }
    try refused(
      "photos: 8 images to train on, but the recipe reckons with 12; complete the data set, or say `images: 8`")
    try writeImages("photos/train", "ant", "bee", count: 6)
    try refused("photos: images of 3 channels in 2 classes, but the recipe's image says channels: 3, classes: 3")
    try writeImages("photos/train", "ant", "bee", "cat", count: 4)
    try FileManager.default.removeItem(atPath: scratch.file("photos/val"))
    try writeRecipe(images: 16)
    try refused("photos/val: no such file; name the directory that holds the unpacked data set")
  }
}
