import Random
import Synchronization

/// Which samples make up the batch of a step: a pure function of the step, so a resumed run draws what it would have
/// drawn uninterrupted.
///
/// Each epoch visits the samples in an order of its own. What does not fill a last batch is left out of that epoch.
package struct BatchSampler: Sendable {
  package let count: Int
  package let batch: Int
  private let seed: UInt64
  private let stream: String
  private let current = CurrentEpoch()

  package init(count: Int, batch: Int, seed: UInt64, stream: String) throws(StorageError) {
    guard batch > 0, batch <= count, count <= 1 << 32 else {
      throw .invalid("cannot draw batches of \(batch) from \(count) samples; choose a batch size from 1 to \(count)")
    }
    self.count = count
    self.batch = batch
    self.seed = seed
    self.stream = stream
  }

  package var stepsPerEpoch: Int { count / batch }

  /// The samples of step 0, 1, …
  package func indices(step: Int) -> [Int] {
    precondition(step >= 0, "step \(step)")
    let (epoch, offset) = step.quotientAndRemainder(dividingBy: stepsPerEpoch)
    let order = current.order(of: epoch) {
      var random = CounterRandom(seed: seed, stream: "\(stream), epoch \(epoch)")
      return random.shuffled(count)
    }
    return Array(order[offset * batch..<(offset + 1) * batch])
  }
}

/// Remembers one epoch's order: shuffling 60,000 samples takes a millisecond, too long for each step.
private final class CurrentEpoch: Sendable {
  private let memory = Mutex<(epoch: Int, order: [Int])?>(nil)

  func order(of epoch: Int, shuffle: () -> [Int]) -> [Int] {
    memory.withLock { memory in
      if let memory, memory.epoch == epoch { return memory.order }
      let order = shuffle()
      memory = (epoch, order)
      return order
    }
  }
}
