import Foundation
import Synchronization
import Testing

@testable import Storage

@Suite struct StoragePrefetcherTests {
  private struct Broken: Error, Equatable { let step: Int }

  @Test func deliversInOrderFromTheGivenStep() throws {
    let prefetcher = Prefetcher(from: 5, depth: 3) { step in step * step }
    for step in 5..<200 { #expect(try prefetcher.next() == step * step) }
  }

  @Test func worksAheadButNoFurtherThanDepth() throws {
    let produced = Counter()
    let prefetcher = Prefetcher(from: 0, depth: 2) { step in
      produced.increment()
      return step
    }
    #expect(try prefetcher.next() == 0)
    #expect(produced.reaches(3))
    Thread.sleep(forTimeInterval: 0.05)
    #expect(produced.value == 3)
  }

  @Test func producerErrorComesAfterTheGoodBatchesAndStays() throws {
    let prefetcher = Prefetcher(from: 0, depth: 4) { step in
      guard step < 2 else { throw Broken(step: step) }
      return step
    }
    #expect(try prefetcher.next() == 0)
    #expect(try prefetcher.next() == 1)
    for _ in 0..<3 { #expect(throws: Broken(step: 2)) { try prefetcher.next() } }
  }

  @Test func cancelWakesAWaitingCaller() throws {
    let gate = DispatchSemaphore(value: 0)
    let prefetcher = Prefetcher(from: 0) { step in
      gate.wait()
      return step
    }
    Thread { prefetcher.cancel() }.start()
    for _ in 0..<2 { #expect(throws: CancellationError.self) { try prefetcher.next() } }
    gate.signal()
  }

  /// Dropping it ends the thread, which then lets go of what the producer holds.
  @Test func releaseEndsTheThread() throws {
    final class Token: Sendable {
      let ended: Counter
      init(_ ended: Counter) { self.ended = ended }
      deinit { ended.increment() }
    }
    let ended = Counter()
    do {
      let token = Token(ended)
      let prefetcher = Prefetcher(from: 0) { step in (token, step).1 }
      #expect(try prefetcher.next() == 0)
    }
    #expect(ended.reaches(1))
  }
}

private final class Counter: Sendable {
  private let count = Mutex(0)
  var value: Int { count.withLock { $0 } }
  func increment() { count.withLock { $0 += 1 } }

  func reaches(_ target: Int) -> Bool {
    for _ in 0..<2000 where value < target { Thread.sleep(forTimeInterval: 0.005) }
    return value >= target
  }
}
