/// Places tensors in one arena so that those alive at the same time do not overlap, and none lies across a boundary between the buffers
/// that the arena is made of. Pure, tested without a device.
package struct MemoryPlan: Sendable {
  /// A range of the arena that is needed from step `first` to step `last` inclusive.
  package struct Request: Sendable {
    package let bytes: Int
    package let first: Int
    package let last: Int

    package init(bytes: Int, first: Int, last: Int) {
      self.bytes = bytes
      self.first = first
      self.last = last
    }
  }

  /// Byte offset of each request, a multiple of `alignment`.
  package let offsets: [Int]
  package let arenaBytes: Int
  /// Bytes of each buffer of the arena but the last.
  package let bufferBytes: Int

  /// 256 is the largest offset alignment that Vulkan lets a device ask for.
  package static let alignment = 256

  /// Greedy by size: the largest first, each at the lowest offset that is free for its whole lifetime
  /// (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020, section 5.2).
  /// - Parameter longest: bytes of a buffer at the most; no request is longer.
  package init(_ requests: [Request], longest: Int = .max) {
    let bufferBytes = longest / MemoryPlan.alignment * MemoryPlan.alignment
    var offsets = [Int](repeating: 0, count: requests.count)
    var placed: [Int] = []  // by offset
    var end = 0
    let order = requests.indices.sorted {
      (requests[$1].bytes, $0) < (requests[$0].bytes, $1)
    }
    for r in order {
      let request = requests[r]
      let bytes = MemoryPlan.aligned(request.bytes)
      func inOneBuffer(_ offset: Int) -> Int {
        let inside = offset % bufferBytes
        return inside <= bufferBytes - bytes ? offset : offset - inside + bufferBytes
      }
      var candidate = 0
      for other in placed where requests[other].first <= request.last && request.first <= requests[other].last {
        if candidate + bytes <= offsets[other] { break }
        candidate = inOneBuffer(max(candidate, offsets[other] + MemoryPlan.aligned(requests[other].bytes)))
      }
      offsets[r] = candidate
      end = max(end, candidate + bytes)
      placed.insert(r, at: placed.firstIndex { offsets[$0] > candidate } ?? placed.count)
    }
    self.offsets = offsets
    self.bufferBytes = bufferBytes
    arenaBytes = end
  }

  package static func aligned(_ bytes: Int) -> Int { max(1, (bytes + alignment - 1) / alignment) * alignment }
}
