import GPU
import Graph
import NN

/// Byte `i` of noise that is the same everywhere.
package func madeUpByte(_ i: Int) -> UInt8 { UInt8((i &* 2_654_435_761) >> 13 & 0xff) }

/// What a task runs on where only its time counts.
extension TrainingTask {
  /// The task's models with starting values, by the block names that graphs use.
  package func madeUpBlocks(on device: Device) throws(VulkanError) -> [String: Buffer] {
    var blocks: [String: Buffer] = [:]
    for unit in units {
      let values = unit.layout.initialValues(seed: 0, stream: unit.block)
      let state = try ModuleState(unit.layout, values: values, isTrained: unit.isTrained, device: device)
      blocks.merge(state.blocks) { a, _ in a }
    }
    return blocks
  }

  /// Step 1, with noise for images: tokens then differ and are routed to all experts.
  package func madeUpFeed(_ recipe: Recipe, learningRate: Double) -> (Plan.Feed) -> Void {
    let state = StepState(step: 1, learningRate: learningRate, seed: 0)
      .words(beta1: recipe.optimizer.beta1, beta2: recipe.optimizer.beta2)
    let noise = (0..<settings.batch * images.channels * images.size * images.size).map(madeUpByte)
    let parts = settings.accumulate
    return { feed in
      feed.set(StepState.inputName, state[...])
      for micro in 0..<parts { feed[StepProgram.images(micro)]?.copyBytes(from: noise) }
    }
  }
}
