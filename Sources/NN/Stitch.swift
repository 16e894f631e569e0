import Graph
import Ops

/// LayerNorm and Linear between modules of different width, without a residual.
package struct Stitch: Sendable {
  let ln: LayerNorm
  let fc: Linear

  package init(_ scope: Scope, from input: Int, to output: Int, weights: Initializer) {
    ln = LayerNorm(scope("ln"), input, eps: 1e-5)
    fc = Linear(scope("fc"), from: input, to: output, weights: weights)
  }

  package func callAsFunction(_ x: Value, _ forward: Forward) throws(ShapeError) -> Value {
    try fc(ln(x, forward), forward)
  }
}
