import Distillation
import Foundation
import Images
import Storage
import Testing

/// A student that sees few images, from a meta model and a teacher that saw all.
@Suite struct StudentImagesTests {
  private static let pairs = [0, 1, 2]

  @Test func allArmsSeeTheSameFew() throws {
    let recipe = try TinyRecipe(studentImages: 10).recipe()
    let few = try tinyImages.balanced(10, seed: 0).batch(Array(0..<10))
    let students: [any Phase] = [
      M2mKD(pairs: Self.pairs), M2mKD(pairs: [1], block: "alone", alpha: 0), E2E(),
      E2E(block: "scratch", start: .scratch), E2E(block: "alone", start: .modules("alone")),
    ]
    for phase in students {
      let images = try phase.task(recipe).images(of: TrainingImages(taught: tinyImages))
      #expect(try images.count == 10 && images.batch(Array(0..<10)) == few)
    }
    #expect(Set(few.labels.prefix(4)).count == 4)
    for phase in [PT(), MT(pairs: Self.pairs), FT()] as [any Phase] {
      #expect(try phase.task(recipe).images(of: TrainingImages(taught: tinyImages)).count == tinyImages.count)
    }
  }

  @Test func epochsAreOfTheFew() throws {
    let text = TinyRecipe(studentImages: 24).yaml.replacingOccurrences(of: "steps: 3", with: "epochs: 2")
    let recipe = try Recipe(file: "tiny.yml", text: text)
    #expect(recipe.settings(.m2mKD).steps == 6 && recipe.settings(.e2e).steps == 6)
    #expect(recipe.settings(.ft).steps == 2 * (1_281_167 / 8))
    #expect(try Recipe(file: "resolved", text: recipe.yaml).data.studentImages == 24)
  }
}

extension OnDevice {
  @Suite struct StudentImages {
    /// Training on the first of the balanced order is training on a set that has no others.
    @Test func othersAreNotTouched() throws {
      let models = try TinyRun.taught.get()
      let few = try TinyRun(TinyRecipe(studentImages: 16), models: models)
      let only = try TinyRun(TinyRecipe(), models: models, images: tinyImages.balanced(16, seed: 0))
      let all = try TinyRun(TinyRecipe(), models: models)
      for run in [few, only, all] { try run.train(M2mKD(pairs: [0, 1, 2]), E2E()) }
      for block in ["student.0", "student"] {
        #expect(try few.values(block) == only.values(block))
        #expect(try few.values(block) != all.values(block))
      }
    }
  }
}
