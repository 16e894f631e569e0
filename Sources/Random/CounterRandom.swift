import Foundation

/// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
///
/// The key is the seed; the 128-bit counter is a hash of the stream's name (upper half) and a position (lower half). So
/// any position of any stream can be had at once, and streams of one seed do not overlap.
package struct CounterRandom: Sendable {
  private let seed: UInt64
  private let stream: UInt64
  private var position: UInt64 = 0
  private var block = SIMD4<UInt32>()
  private var blockLeft = 0
  private var spareNormal: Double?

  package init(seed: UInt64, stream: String) {
    self.seed = seed
    // FNV-1a, 64 bits.
    self.stream = stream.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }

  /// The block at a position of the stream, whatever was drawn before.
  package func uint32x4(at counter: UInt64) -> SIMD4<UInt32> {
    Self.philox(
      counter: SIMD4(
        UInt32(truncatingIfNeeded: counter), UInt32(truncatingIfNeeded: counter >> 32),
        UInt32(truncatingIfNeeded: stream), UInt32(truncatingIfNeeded: stream >> 32)),
      key: SIMD2(UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)))
  }

  package static func philox(counter: SIMD4<UInt32>, key: SIMD2<UInt32>) -> SIMD4<UInt32> {
    var (x, y, z, w) = (counter.x, counter.y, counter.z, counter.w)
    var (k0, k1) = (key.x, key.y)
    for _ in 0..<10 {
      let a = x.multipliedFullWidth(by: 0xd251_1f53)
      let b = z.multipliedFullWidth(by: 0xcd9e_8d57)
      (x, y, z, w) = (b.high ^ y ^ k0, b.low, a.high ^ w ^ k1, a.low)
      k0 &+= 0x9e37_79b9
      k1 &+= 0xbb67_ae85
    }
    return SIMD4(x, y, z, w)
  }

  // MARK: The stream in sequence

  package mutating func nextUInt32() -> UInt32 {
    if blockLeft == 0 {
      block = uint32x4(at: position)
      position += 1
      blockLeft = 4
    }
    blockLeft -= 1
    return block[3 - blockLeft]
  }

  /// In [0, 1), 53 random bits.
  package mutating func uniform() -> Double {
    let high = UInt64(nextUInt32())
    return Double((high << 32 | UInt64(nextUInt32())) >> 11) * 0x1p-53
  }

  /// Mean 0, variance 1 (Box-Muller). The last bit is the C library's, so bits repeat per machine, not across machines.
  package mutating func normal() -> Double {
    if let spare = spareNormal {
      spareNormal = nil
      return spare
    }
    let radius = (-2 * log(1 - uniform())).squareRoot()
    let angle = 2 * Double.pi * uniform()
    spareNormal = radius * sin(angle)
    return radius * cos(angle)
  }

  /// In 0..<bound, every value equally likely (Lemire, "Fast random integer generation in an interval", 2019).
  package mutating func below(_ bound: Int) -> Int {
    precondition(bound > 0 && bound <= 1 << 32, "bound \(bound) is not in 1...2^32")
    let bound = UInt64(bound)
    var product = UInt64(nextUInt32()) * bound
    if product & 0xffff_ffff < bound {
      let threshold = (1 << 32) % bound
      while product & 0xffff_ffff < threshold { product = UInt64(nextUInt32()) * bound }
    }
    return Int(product >> 32)
  }

  /// 0..<count in random order (Fisher-Yates).
  package mutating func shuffled(_ count: Int) -> [Int] {
    var order = Array(0..<count)
    for i in stride(from: count - 1, to: 0, by: -1) { order.swapAt(i, below(i + 1)) }
    return order
  }
}
