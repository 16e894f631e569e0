import Distillation
import Foundation
import Images
import Models
import Storage
import TestSupport
import Testing

extension OnDevice {
  @Suite struct FewShotTests {
    /// Only the head learns; the checkpoint is a whole model that can be evaluated.
    @Test(arguments: [
      TinyRecipe(fewShot: "batch: 6, learning_rate: 1.0e-2"),
      TinyRecipe(fewShot: "batch: 3, learning_rate: 1.0e-2, momentum: 0.9"),
      TinyRecipe(circuit: "kind: hinge", fewShot: "batch: 6, learning_rate: 1.0e-2, momentum: 0.9, drop_path: 0.1"),
    ]) func onlyTheHeadLearns(_ tiny: TinyRecipe) throws {
      let run = try TinyRun(tiny).train(E2E(start: .scratch))
      let support = try tinyImages.classes(3, seed: 0).balanced(6, seed: 0)
      func adapt() throws {
        let trainer = Trainer(
          recipe: run.recipe, seed: 7, device: run.device, images: .init(taught: tinyImages, support: support),
          directory: run.directory, reporter: run.log, stop: StopFlag())
        try trainer.run(FS().task(run.recipe), resuming: false)
      }
      try adapt()
      let (adapted, student) = (try run.file("few-shot"), try run.file("student"))
      let model = try #require(run.recipe.classifier("few-shot"))
      let head = model.layout.parameters.flatMap(\.parts).filter {
        $0.name.hasSuffix("to_logits.weight") || $0.name.hasSuffix("to_logits.bias") || $0.name.contains(".head.")
      }
      #expect(head.map(\.shape).contains { $0[0] == 3 } && head.count == 2)
      let heads = Set(head.map(\.name))
      #expect(Set(adapted.names) == Set(model.layout.parameters.flatMap(\.parts).map(\.name)))
      for name in adapted.names where !heads.contains(name) {
        #expect(try adapted.floats(name) == student.floats(name), "\(name)")
      }
      for name in heads { #expect(try adapted.floats(name).contains { $0 != 0 }, "\(name)") }
      let losses = try run.steps(of: "FS").compactMap(\.loss)
      #expect(losses.count == 3 && losses[2] != losses[0])
      let first = try run.bytes("few-shot")
      try FileManager.default.removeItem(atPath: run.directory.checkpoint("few-shot"))
      try adapt()
      #expect(try run.bytes("few-shot") == first)
      _ = try StoredModel(reading: run.directory.checkpoint("few-shot"))
    }

    @Test func classesThatAreNotThere() throws {
      let tiny = TinyRecipe(fewShot: "batch: 6, learning_rate: 1.0e-2")
      let text = tiny.yaml.replacing("ways: 3", with: "ways: 11")
      let error = message { _ = try Recipe(file: "x.yml", text: text) }
      #expect(error.hasSuffix("few_shot.ways: 11 classes, but mnist has 10"), "\(error)")
    }
  }
}
