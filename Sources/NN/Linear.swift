import Graph
import Ops

/// y = x W^T + b on the last axis.
package struct Linear: Sendable {
  let weight: Parameter  // (out, in)
  let bias: Parameter?

  package init(_ scope: Scope, from input: Int, to output: Int, bias: Bool = true, weights: Initializer) {
    weight = scope.parameter("weight", [output, input], weights)
    self.bias = bias ? scope.parameter("bias", [output], .zeros) : nil
  }

  package func callAsFunction(_ x: Value, _ forward: Forward) throws(ShapeError) -> Value {
    let y = try x.matmul(forward(weight), transposing: .right)
    guard let bias else { return y }
    return try y.addBias(forward(bias))
  }
}
