/// Functions made of additions, multiplications, divisions and square roots alone, which IEEE 754 rounds in one way, so
/// their bits are the same on every machine. A C library's differ in the last one.

/// Natural logarithm of a positive normal number, to about 2e-16 of its size or of 1.
package func portableLog(_ x: Double) -> Double {
  var (mantissa, exponent) = (x.significand, Double(x.exponent))
  if mantissa > 1.4142 { (mantissa, exponent) = (mantissa / 2, exponent + 1) }
  // log m = 2 atanh s, where |s| < 0.172, so that the next term of the series is below 1e-17.
  let s = (mantissa - 1) / (mantissa + 1)
  let series = stride(from: 21, through: 1, by: -2).reduce(0.0) { $0 * (s * s) + 1 / Double($1) }
  return exponent * 0.693_147_180_559_945_309 + 2 * s * series
}

/// e^x for x in -64...0, to about 1e-12 of its size.
package func portableExp(_ x: Double) -> Double {
  precondition((-64...0).contains(x), "\(x) is not in -64...0")
  let series = stride(from: 16, through: 1, by: -1).reduce(1.0) { 1 + $0 * (x / 64) / Double($1) }
  return (0..<6).reduce(series) { power, _ in power * power }
}

/// For |x| up to 1, to about 1e-16.
package func portableSineAndCosine(_ x: Double) -> (sine: Double, cosine: Double) {
  precondition(abs(x) <= 1, "\(x) is not in -1...1")
  func series(_ first: Int) -> Double {
    stride(from: first + 16, through: first, by: -2).reduce(1.0) { 1 - $0 * x * x / Double(($1 - 1) * $1) }
  }
  return (x * series(3), series(2))
}

extension CounterRandom {
  /// Two independent numbers of mean 0 and variance 1, the same bits on every machine (Marsaglia's polar method, 1964).
  package mutating func portableNormals() -> (Double, Double) {
    while true {
      let (x, y) = (2 * uniform() - 1, 2 * uniform() - 1)
      let square = x * x + y * y
      guard square < 1, square > 0 else { continue }
      let factor = (-2 * portableLog(square) / square).squareRoot()
      return (x * factor, y * factor)
    }
  }
}
