import Dispatch
import Foundation
import Synchronization

/// Prepares the batches of the coming steps on a thread of its own while the caller uses the present one.
///
/// The producer's errors are any, because what it does (decoding, augmentation) belongs to the caller.
package final class Prefetcher<Batch: Sendable>: Sendable {
  private let channel: Channel<Batch>

  /// - Parameters:
  ///   - first: the step of the first `next()`; `produce` is called for it and every later one, in order.
  ///   - depth: how many batches may wait to be taken.
  package init(from first: Int, depth: Int = 2, _ produce: @escaping @Sendable (_ step: Int) throws -> Batch) {
    precondition(depth > 0, "depth \(depth)")
    // The thread holds the channel, not the prefetcher, so dropping the prefetcher ends the thread.
    let channel = Channel<Batch>(capacity: depth)
    self.channel = channel
    let thread = Thread {
      for step in first... {
        guard channel.waitForRoom() else { return }
        let batch = Result { try produce(step) }
        channel.put(batch)
        if case .failure = batch { return }
      }
    }
    thread.name = "prefetch"
    thread.start()
  }

  deinit { channel.close() }

  /// The next step's batch, waiting for it where needed. After the producer has thrown, every call throws its error;
  /// after `cancel()`, every call throws `CancellationError`.
  package func next() throws -> Batch { try channel.take() }

  /// May be called from any thread, also while another waits in `next()`.
  package func cancel() { channel.close() }
}

private final class Channel<Element: Sendable>: Sendable {
  private struct State: Sendable {
    var waiting: [Result<Element, any Error>] = []
    var closed = false
  }

  private let state = Mutex(State())
  // Both start at zero and are signalled up, because a semaphore must not end below the value it was made with.
  private let room = DispatchSemaphore(value: 0)
  private let filled = DispatchSemaphore(value: 0)

  init(capacity: Int) {
    for _ in 0..<capacity { room.signal() }
  }

  /// False when the channel is closed.
  func waitForRoom() -> Bool {
    room.wait()
    return state.withLock { !$0.closed }
  }

  func put(_ element: Result<Element, any Error>) {
    state.withLock { $0.waiting.append(element) }
    filled.signal()
  }

  func take() throws -> Element {
    filled.wait()
    let element = state.withLock { state -> Result<Element, any Error> in
      if state.closed { return .failure(CancellationError()) }
      if case .failure(let error) = state.waiting[0] { return .failure(error) }
      return state.waiting.removeFirst()
    }
    // A failure stays for the next caller.
    if case .failure = element { filled.signal() } else { room.signal() }
    return try element.get()
  }

  func close() {
    state.withLock {
      $0.closed = true
      $0.waiting = []
    }
    room.signal()
    filled.signal()
  }
}
