import Graph
import Models
import NN

/// A Vision-MoE as a recipe's student: a transformer whose blocks have experts, cut where the meta model is cut.
package struct VisionMoE: Student {
  package let images: ImageTask
  package let width: TransformerWidth
  package let depths: [Int]
  package let experts: BlockOptions.Experts
  /// Keep the stitches between modules in the assembled student. The paper drops them by default.
  package let keepsStitches: Bool
  /// Features of the meta model.
  package let stitch: Int

  private func blocks(_ pair: Int, stitched: Bool, rate: (Int) -> Double) -> [BlockOptions] {
    (0..<depths[pair]).map { j in
      var options = BlockOptions(experts: experts, dropPath: rate(j))
      if stitched {
        if j == 0, pair > 0 { options.preStitch = stitch }
        if j == depths[pair] - 1, pair < depths.count - 1 { options.postStitch = stitch }
      }
      return options
    }
  }

  package func module(_ pair: Int, block: String, settings: PhaseSettings) -> StudentModule {
    let model = VisionTransformer(
      block: "\(block).\(pair)", task: images, width: width,
      stages: [
        blocks(pair, stitched: true) {
          Recipe.dropPath($0, of: depths[pair], rate: settings.dropPath)
        }
      ],
      hasFirst: pair == 0, hasLast: pair == depths.count - 1)
    return StudentModule(layout: model.layout, latents: nil) { (input, forward) throws(ShapeError) in
      try model(input, forward)
    }
  }

  package func whole(
    block: String, dropPath rate: Double, classes: Int?, head: ParameterBuilder?
  ) -> WholeStudent {
    var images = images
    images.classes = classes ?? images.classes
    var index = 0
    let stages = depths.indices.map { pair in
      blocks(pair, stitched: keepsStitches) { _ in
        defer { index += 1 }
        return Recipe.dropPath(index, of: depths.reduce(0, +), rate: rate)
      }
    }
    return WholeStudent(
      model: VisionTransformer(
        block: block, task: images, width: width, stages: stages, head: head
      ).classifier)
  }
}
