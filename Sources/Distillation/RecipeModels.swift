import Models
import NN

/// The models a recipe describes. A model's block name is also the name of its checkpoint.
extension Recipe {
  /// Drop-path rate of block `index` of `depth`: linear from 0 to `rate` (timm).
  private func dropPath(_ index: Int, of depth: Int, rate: Double) -> Double {
    depth > 1 ? rate * Double(index) / Double(depth - 1) : 0
  }

  private func dense(_ depths: [Int], rate: Double) -> [[BlockOptions]] {
    var index = 0
    return depths.map { depth in
      (0..<depth).map { _ in
        defer { index += 1 }
        return BlockOptions(dropPath: dropPath(index, of: depths.reduce(0, +), rate: rate))
      }
    }
  }

  /// The meta model: few blocks per module, trained first, then the frame that every module is taught in.
  package func meta(dropPath rate: Double = 0) -> VisionTransformer {
    VisionTransformer(block: "meta", task: task, width: width, stages: dense(metaDepths, rate: rate))
  }

  package func teacher(dropPath rate: Double = 0) -> VisionTransformer {
    VisionTransformer(block: "teacher", task: task, width: width, stages: dense(teacherDepths, rate: rate))
  }

  /// Teacher module `pair` alone, as it is incubated inside the meta model: the rates are those of the hybrid whose other
  /// modules are the meta model's.
  package func teacherModule(_ pair: Int, dropPath rate: Double = 0) -> VisionTransformer {
    var hybrid = metaDepths
    hybrid[pair] = teacherDepths[pair]
    return VisionTransformer(
      block: "teacher.\(pair)", task: task, width: width, stages: [dense(hybrid, rate: rate)[pair]],
      hasFirst: pair == 0, hasLast: pair == pairs - 1)
  }

  private func studentBlocks(_ pair: Int, stitched: Bool, rate: (Int) -> Double) -> [BlockOptions] {
    (0..<student.depths[pair]).map { j in
      var options = BlockOptions(experts: student.experts, dropPath: rate(j))
      if stitched {
        if j == 0, pair > 0 { options.preStitch = width.features }
        if j == student.depths[pair] - 1, pair < pairs - 1 { options.postStitch = width.features }
      }
      return options
    }
  }

  /// Student module `pair`, with stitches that translate between its width and the meta model's.
  package func studentModule(_ pair: Int, block: String, dropPath rate: Double = 0) -> VisionTransformer {
    VisionTransformer(
      block: "\(block).\(pair)", task: task, width: student.width,
      stages: [
        studentBlocks(pair, stitched: true) { self.dropPath($0, of: student.depths[pair], rate: rate) }
      ],
      hasFirst: pair == 0, hasLast: pair == pairs - 1)
  }

  /// The assembled student.
  package func student(block: String, dropPath rate: Double = 0) -> VisionTransformer {
    var index = 0
    let stages = (0..<pairs).map { pair in
      studentBlocks(pair, stitched: student.keepsStitches) { _ in
        defer { index += 1 }
        return self.dropPath(index, of: student.depths.reduce(0, +), rate: rate)
      }
    }
    return VisionTransformer(block: block, task: task, width: student.width, stages: stages)
  }
}
