import Graph
import Ops

/// y = x W^T + b on the last axis.
package struct Linear: Sendable {
  let weight: Parameter  // (out, in)
  let bias: Parameter?

  /// - Parameters:
  ///   - shape: of the weight in checkpoints, where it is that of a convolution.
  package init(
    _ scope: Scope, from input: Int, to output: Int, bias: Bool = true, weights: Initializer,
    biases: Initializer = .zeros, storedAs shape: Shape? = nil
  ) {
    weight = scope.parameter("weight", [output, input], storedAs: shape, weights)
    self.bias = bias ? scope.parameter("bias", [output], biases) : nil
  }

  package func callAsFunction(_ x: Value, _ forward: Forward) throws(ShapeError) -> Value {
    let y = try x.matmul(forward(weight), transposing: .right)
    guard let bias else { return y }
    return try y.addBias(forward(bias))
  }
}
