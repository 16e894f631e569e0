import Graph
import Ops

/// A linear layer that a latent's code adapts (ModFC, Rahaman et al. 2022): y = (x * s) W^T + b, s = gain LN(code W_s^T) + 1,
/// with a LayerNorm without parameters and a learned gain.
package struct ModulatedLinear: Sendable {
  package let weight: Parameter  // (out, in)
  package let bias: Parameter?
  private let scale: Linear
  private let gain: Parameter  // one number

  /// - Parameters:
  ///   - heads: divides the outputs of the weight into as many matrices, (heads, out / heads, in).
  package init(
    _ scope: Scope, from input: Int, to output: Int, codes: Int, bias: Bool = true, heads: Int? = nil,
    gain start: Double = 0.1
  ) {
    let shape: Shape = heads.map { [$0, output / $0, input] } ?? [output, input]
    weight = scope.parameter(
      "native_weight", shape, storedAs: [output, input], .uniform(1 / Double(input).squareRoot()))
    self.bias = bias ? scope.parameter("native_bias", [output], .zeros) : nil
    gain = scope.parameter("scale_gain", [1], storedAs: [], .constant(start))
    scale = Linear(
      scope("scale"), from: codes, to: input, bias: false, weights: .uniform(1 / Double(codes).squareRoot()))
  }

  /// Codes (U, code) -> (U, in), what the inputs of each latent are multiplied by.
  package func modulation(_ codes: Value, _ forward: Forward) throws(ShapeError) -> Value {
    try scale(codes, forward).modulation(gain: forward(gain), eps: 1e-5)
  }

  /// The weight (out, in) for one code (1, code): it scales columns, which are fewer than the features of all tokens.
  func modulatedWeight(_ codes: Value, _ forward: Forward) throws(ShapeError) -> Value {
    try forward(weight).scaledColumns(by: modulation(codes, forward))
  }

  /// (B, U, in) and codes (U, code), or one code (1, code) for all -> (B, U, out).
  package func callAsFunction(_ x: Value, codes: Value, _ forward: Forward) throws(ShapeError) -> Value {
    let y =
      codes.shape[0] == 1
      ? try x.matmul(modulatedWeight(codes, forward), transposing: .right)
      : try x.scaledColumns(by: modulation(codes, forward)).matmul(forward(weight), transposing: .right)
    guard let bias else { return y }
    return try y.addBias(forward(bias))
  }

  /// The same of `norm`'s result for x. Its weight and bias are modulated instead, once for all samples.
  package func callAsFunction(
    _ x: Value, norm: LayerNorm, codes: Value, _ forward: Forward
  ) throws(ShapeError) -> Value {
    let scales = try modulation(codes, forward)
    let y = try x.layerNorm(
      weight: scales.scaledColumns(by: forward(norm.weight)), bias: scales.scaledColumns(by: forward(norm.bias)),
      eps: norm.eps
    ).matmul(forward(weight), transposing: .right)
    guard let bias else { return y }
    return try y.addBias(forward(bias))
  }
}
