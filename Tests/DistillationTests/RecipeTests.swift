import Distillation
import Foundation
import Testing

@Suite struct RecipeTests {
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  private static func shipped(_ name: String) throws -> Recipe {
    try Recipe(reading: root.appendingPathComponent("recipes/\(name)").path)
  }

  @Test func shippedRecipesAreUnderstood() throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: Self.root.appendingPathComponent("recipes").path)
    #expect(Set(names).isSuperset(of: ["fashion-vmoe.yml", "vmoe-base-imagenet.yml"]))
    for name in names { #expect(try Self.shipped(name).pairs > 1) }

    let demo = try Self.shipped("fashion-vmoe.yml")
    #expect(demo.settings(.m2mKD).steps == 300 && demo.settings(.m2mKD).learningRate(step: 21) > 2.9e-3)
    #expect(
      demo.distillation.alpha == 0.5 && (demo.student as? VisionMoE)?.keepsStitches == true
        && demo.data.trainingImages == 55_000)

    // Epochs of 1,281,167 images in effective batches of 2048; the rate is scaled from 512 to that.
    let paper = try Self.shipped("vmoe-base-imagenet.yml").settings(.pt)
    #expect(paper.steps == 300 * 625 && paper.accumulate == 8)
    #expect(abs(paper.schedule.base - 2e-3) < 1e-12)
    #expect(paper.learningRate(step: 625 * 20 + 1) > 1.9e-3)
  }

  /// What a run stores is the same recipe, with nothing left to default.
  @Test func resolvedRecipeIsTheSameRecipe() throws {
    for recipe in [
      try Self.shipped("fashion-vmoe.yml"), try Self.shipped("vmoe-base-imagenet.yml"), try TinyRecipe().recipe(),
      try Self.shipped("fashion-nac.yml"), try Self.shipped("nac-planted-tiny-imagenet.yml"),
      try Self.shipped("nac-few-shot-cub.yml"),
    ] {
      let again = try Recipe(file: "resolved", text: recipe.yaml)
      #expect(again.yaml == recipe.yaml)
      #expect(again.width == recipe.width && again.task == recipe.task && again.teacherDepths == recipe.teacherDepths)
      for phase in PhaseName.allCases where phase != .fs || recipe.fewShot != nil {
        let (a, b) = (recipe.settings(phase), again.settings(phase))
        #expect(a.steps == b.steps && a.schedule == b.schedule && a.clip == b.clip && a.dropPath == b.dropPath)
      }
      #expect(recipe.yaml.contains("beta1: 0.9") && recipe.yaml.contains("mlp_ratio:"))
    }
  }

  struct Mistake: Sendable, CustomTestStringConvertible {
    let replacing: String
    let by: String
    let error: String
    var testDescription: String { "\(replacing) -> \(by)" }

    static let all = [
      Mistake(
        replacing: "name: tiny", by: "name: a/b",
        error: "x.yml:1: name: 'a/b' names a folder: letters, digits, '-', '_' and '.' only, not '.' first"),
      Mistake(
        replacing: "name: tiny", by: "name: ..",
        error: "x.yml:1: name: '..' names a folder: letters, digits, '-', '_' and '.' only, not '.' first"),
      Mistake(replacing: "name: tiny\n", by: "", error: "x.yml:1: name: is missing (a text)"),
      Mistake(
        replacing: "set: imagenet", by: "set: cifar",
        error:
          "x.yml:2: data.set: expected one of fashion-mnist, mnist, imagenet, tiny-imagenet, cub-200, folder, found 'cifar'"
      ),
      Mistake(
        replacing: "set: imagenet", by: "set: folder", error: "x.yml:2: data.images: is missing (an integer)"),
      Mistake(
        replacing: "validation: 0", by: "validation: 3, images: 3",
        error: "x.yml:2: data.validation: 3 images, but there are only 3"),
      Mistake(
        replacing: "validation: 0", by: "validation: 0, augmentation: {crop: 0}",
        error: "x.yml:2: data.augmentation.crop: 0.0 is not in 0.001…1.0"),
      Mistake(
        replacing: "validation: 0", by: "validation: 0, augmentation: {cutout: 1}",
        error:
          "x.yml:2: data.augmentation.cutout: unknown key (known here: crop, cutmix, erasing, flip, mixup, rand_augment)"
      ),
      Mistake(
        replacing: "set: imagenet", by: "set: fashion-mnist",
        error:
          "x.yml:3: image.size: fashion-mnist has 28x28 images (an even size up to 64 pads them), 1 channel and 10 classes"
      ),
      Mistake(replacing: "patch: 4", by: "patch: 3", error: "x.yml:3: image.patch: 3 does not divide the image size 8"),
      Mistake(replacing: "mean: [0.5]", by: "mean: [0.5, 0.5]", error: "x.yml:3: image.mean: 2 values for 1 channels"),
      Mistake(replacing: "std: [0.25]", by: "std: [0]", error: "x.yml:3: image.std: needs 1 positive values"),
      Mistake(
        replacing: "patch: 4, classes: 4", by: "patch: 4", error: "x.yml:3: image.classes: is missing (an integer)"),
      Mistake(
        replacing: "meta: {depths: [1, 1, 1]}", by: "meta: {depths: [1, 0, 1]}",
        error: "x.yml:5: meta.depths: needs one positive number of blocks per module, found [1, 0, 1]"),
      Mistake(
        replacing: "meta: {depths: [1, 1, 1]}", by: "meta: [1, 1, 1]",
        error: "x.yml:5: meta: expected `key: value` lines"),
      Mistake(
        replacing: "depths: [2, 1, 1]", by: "depths: [2, 1]",
        error: "x.yml:6: teacher.depths: 2 modules, but the meta model has 3"),
      Mistake(
        replacing: "depths: [1, 1, 1], experts", by: "depths: [1, 1, 1, 1], experts",
        error: "x.yml:7: student.depths: 4 modules, but the meta model has 3"),
      Mistake(
        replacing: "features: 16, heads: 2", by: "features: 16, heads: 3",
        error: "x.yml:6: teacher.heads: 3 heads do not divide 16 features"),
      Mistake(replacing: "experts: 3", by: "experts: 1", error: "x.yml:7: student.experts_per_token: 2 is not in 1…1"),
      Mistake(
        replacing: "experts: 3", by: "experts: many",
        error: "x.yml:7: student.experts: expected an integer, found 'many'"),
      Mistake(
        replacing: "checkpoint_every: 50", by: "checkpoint_evry: 50",
        error:
          "x.yml:9: checkpoint_evry: unknown key (known here: checkpoint_every, controls, data, evaluation, few_shot, image, initialization, label_smoothing, meta, name, optimizer, phases, precision, student, target, teacher)"
      ),
      Mistake(
        replacing: "PT: {steps: 3", by: "PT: {stepz: 3, steps: 3",
        error:
          "x.yml:11: phases.PT.stepz: unknown key (known here: accumulate, batch, clip, decay_all, drop_path, epochs, learning_rate, minimum_rate, momentum, scale_learning_rate, steps, warmup, warmup_from, weight_decay)"
      ),
      Mistake(
        replacing: "PT: {steps: 3", by: "PT: {steps: [3]",
        error: "x.yml:11: phases.PT.steps: expected an integer, found a list or mapping"),
      Mistake(
        replacing: "PT: {steps: 3", by: "PT: {steps: 3, epochs: 3",
        error: "x.yml:11: phases.PT.steps: give either steps or epochs"),
      Mistake(
        replacing: "PT: {steps: 3", by: "PT: {steps: -1", error: "x.yml:11: phases.PT.steps: -1 is not in 0…2147483647"),
      Mistake(
        replacing: "PT: {steps: 3", by: "PT: {steps: 3, steps: 4",
        error: "x.yml:11: not YAML: the key 'steps' occurs twice"),
      Mistake(replacing: "  PT:", by: "  PTT:", error: "x.yml:10: phases.PT.batch: is missing (an integer)"),
      Mistake(
        replacing: "checkpoint_every: 50", by: "precision: half",
        error: "x.yml:9: precision: expected one of f32, mixed, found 'half'"),
      Mistake(
        replacing: "distillation: soft", by: "distillation: mild",
        error: "x.yml:14: phases.m2mKD.distillation: expected one of soft, hard, found 'mild'"),
      Mistake(
        replacing: "learning_rate: 1.0e-2", by: "learning_rate: fast",
        error: "x.yml:11: phases.PT.learning_rate: expected a number, found 'fast'"),
      Mistake(
        replacing: "learning_rate: 1.0e-2", by: "learning_rate: -1",
        error: "x.yml:11: phases.PT.learning_rate: -1.0 is negative or not a number"),
      Mistake(
        replacing: "drop_path: 0", by: "drop_path: 1", error: "x.yml:11: phases.PT.drop_path: 1.0 is not in 0.0…0.99"),
      Mistake(
        replacing: "batch: 8, accumulate: 1", by: "batch: 60000, accumulate: 1000",
        error: "x.yml:11: phases.PT.batch: 60000000 images a step, but there are only 1281167 to train on"),
      Mistake(
        replacing: "validation: 0", by: "validation: 0, student_images: 1281168",
        error: "x.yml:2: data.student_images: 1281168 images, but there are only 1281167 to train on"),
      Mistake(
        replacing: "validation: 0", by: "validation: 0, student_images: 0",
        error: "x.yml:2: data.student_images: 0 is not in 1…2147483647"),
      Mistake(
        replacing: "validation: 0", by: "validation: 0, student_images: 7",
        error: "x.yml:14: phases.m2mKD.batch: 8 images a step, but there are only 7 to train on"),
      Mistake(
        replacing: "checkpoint_every", by: "evaluation: {corruptions: [fog, contrast]}\ncheckpoint_every",
        error:
          "x.yml:9: evaluation.corruptions: 'fog' is none of gaussian_noise, shot_noise, impulse_noise, defocus_blur, gaussian_blur, zoom_blur, brightness, contrast, pixelate"
      ),
      Mistake(
        replacing: "checkpoint_every", by: "evaluation: {corruptions: [contrast, contrast]}\ncheckpoint_every",
        error: "x.yml:9: evaluation.corruptions: 'contrast' occurs twice"),
      Mistake(
        replacing: "checkpoint_every", by: "evaluation: {corruptions: contrast}\ncheckpoint_every",
        error: "x.yml:9: evaluation.corruptions: expected a list of texts, found 'contrast'"),
      Mistake(
        replacing: "checkpoint_every", by: "evaluation: {severity: 6}\ncheckpoint_every",
        error: "x.yml:9: evaluation.severity: 6 is not in 1…5"),
      Mistake(replacing: "meta: {depths", by: "meta: {depths: ]", error: "x.yml:5: not YAML: "),
    ]
  }

  @Test(arguments: Mistake.all) func mistakesAreNamed(_ mistake: Mistake) throws {
    try expect(mistake, in: TinyRecipe().yaml)
  }

  /// Both sides of what does not fit are in the line.
  @Test(arguments: [
    Mistake(
      replacing: "cliques: 3, size: 2", by: "cliques: 4, size: 2",
      error:
        "x.yml:7: student.prior.graph: 4 cliques of 2 are 8 latents, the circuit has 6; change one of them"),
    Mistake(
      replacing: "graph: ring-of-cliques, cliques: 3, size: 2", by: "graph: scale-free, attachments: 6",
      error:
        "x.yml:7: student.prior.graph: each latent joins 6 others, which must be at least 1 and below the circuit's 6 latents"
    ),
    Mistake(
      replacing: "clusters: 3", by: "clusters: 4",
      error: "x.yml:7: student.regularizer.clusters: 4 clusters do not divide the circuit's 6 mediators"),
    Mistake(
      replacing: "size: 8, channels: 1, patch: 4", by: "size: 12, channels: 1, patch: 4",
      error:
        "x.yml:7: student.kind: a circuit's grid has one position for each 8 x 8 pixels, which does not divide images of 12 x 12; use images of 16"
    ),
    Mistake(
      replacing: "cliques: 3, size: 2, steps", by: "attachments: 3, steps",
      error: "x.yml:7: student.prior.cliques: is missing (an integer)"),
  ]) func mistakesInCircuitsAreNamed(_ mistake: Mistake) throws {
    try expect(mistake, in: TinyRecipe(circuit: "kind: block-model, clusters: 3").yaml)
  }

  private func expect(_ mistake: Mistake, in yaml: String) throws {
    let range = try #require(yaml.range(of: mistake.replacing))
    let text = message { _ = try Recipe(file: "x.yml", text: yaml.replacingCharacters(in: range, with: mistake.by)) }
    #expect(mistake.error.hasSuffix(": not YAML: ") ? text.hasPrefix(mistake.error) : text == mistake.error)
  }

  @Test func whatIsNoRecipeIsNamed() {
    #expect(message { _ = try Recipe(file: "x.yml", text: "") } == "x.yml: the recipe is empty")
    #expect(
      message { _ = try Recipe(file: "x.yml", text: "- 1\n- 2\n") }
        == "x.yml:1: the recipe: expected `key: value` lines")
    #expect(
      message { _ = try Recipe(reading: "/nonexistent.yml") }
        == "/nonexistent.yml: cannot be read: no such file, or not text")
  }
}
