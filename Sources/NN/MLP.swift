import Graph
import Ops

/// Linear, GELU, Linear.
package struct MLP: Sendable {
  let fc1: Linear
  let fc2: Linear

  package init(_ scope: Scope, features: Int, hidden: Int, weights: Initializer) {
    fc1 = Linear(scope("fc1"), from: features, to: hidden, weights: weights)
    fc2 = Linear(scope("fc2"), from: hidden, to: features, weights: weights)
  }

  package func callAsFunction(_ x: Value, _ forward: Forward) throws(ShapeError) -> Value {
    try fc2(fc1(x, forward).gelu(), forward)
  }
}
