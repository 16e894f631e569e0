import Synchronization

/// How often the calls were made that a replayed plan must not make.
package struct CallCounter: Sendable, Hashable {
  package var vkBeginCommandBuffer = 0
  package var vkAllocateMemory = 0
  package var vkCreateBuffer = 0
  package var vkCreateBufferView = 0
  package var vkUpdateDescriptorSets = 0
  package var vkCreateComputePipelines = 0
  package var vkQueueSubmit = 0
}

final class Counters: Sendable {
  private let counts = Mutex(CallCounter())

  var now: CallCounter { counts.withLock { $0 } }

  func add(_ call: WritableKeyPath<CallCounter, Int>) { counts.withLock { $0[keyPath: call] += 1 } }
}
