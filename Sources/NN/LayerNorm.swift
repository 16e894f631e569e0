import Graph
import Ops

/// Normalises the last axis, then scales and shifts (Ba et al. 2016).
package struct LayerNorm: Sendable {
  let weight: Parameter
  let bias: Parameter
  let eps: Double

  package init(_ scope: Scope, _ features: Int, eps: Double) {
    weight = scope.parameter("weight", [features], .ones)
    bias = scope.parameter("bias", [features], .zeros)
    self.eps = eps
  }

  package func callAsFunction(_ x: Value, _ forward: Forward) throws(ShapeError) -> Value {
    try x.layerNorm(weight: forward(weight), bias: forward(bias), eps: eps)
  }
}
