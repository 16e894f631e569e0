/// Byte ranges touched since the last barrier; says when the next command needs one.
///
/// Two accesses to the same bytes need a barrier between them when one of them writes.
package struct HazardTracker: Sendable {
  package struct Touch: Sendable {
    let buffer: UInt64
    let range: Range<Int>
    let writes: Bool

    package init(buffer: UInt64, range: Range<Int>, writes: Bool) {
      self.buffer = buffer
      self.range = range
      self.writes = writes
    }
  }

  private var touched: [Touch] = []

  package init() {}

  /// Notes the touches of one command; true where a barrier must stand before it.
  ///
  /// Touches of the same command never conflict with each other: a kernel that reads and writes one tensor does so
  /// element by element.
  package mutating func needsBarrier(before command: [Touch]) -> Bool {
    let conflict = command.contains { new in
      touched.contains {
        $0.buffer == new.buffer && ($0.writes || new.writes) && $0.range.overlaps(new.range)
      }
    }
    if conflict { touched = [] }
    touched += command
    return conflict
  }
}
