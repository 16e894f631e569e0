/// The free byte ranges of one memory block: first fit, neighbours merge.
package struct FreeList: Sendable {
  private var free: [Range<Int>]
  private let capacity: Int

  package init(capacity: Int) {
    self.capacity = capacity
    free = [0..<capacity]
  }

  package var isUnused: Bool { free == [0..<capacity] }

  /// Offset of the taken range, or nil where no hole is large enough.
  package mutating func take(_ bytes: Int, alignment: Int) -> Int? {
    for (i, hole) in free.enumerated() {
      let start = (hole.lowerBound + alignment - 1) / alignment * alignment
      guard start + bytes <= hole.upperBound else { continue }
      let rest = [hole.lowerBound..<start, start + bytes..<hole.upperBound].filter { !$0.isEmpty }
      free.replaceSubrange(i...i, with: rest)
      return start
    }
    return nil
  }

  package mutating func give(_ range: Range<Int>) {
    var i = free.firstIndex { $0.lowerBound >= range.upperBound } ?? free.count
    var merged = range
    if i < free.count, free[i].lowerBound == merged.upperBound {
      merged = merged.lowerBound..<free[i].upperBound
      free.remove(at: i)
    }
    if i > 0, free[i - 1].upperBound == merged.lowerBound {
      merged = free[i - 1].lowerBound..<merged.upperBound
      free.remove(at: i - 1)
      i -= 1
    }
    free.insert(merged, at: i)
  }
}
