import Graph
import Kernels

/// floor(keep + u) / keep with keep = 1 - rate: what a residual branch is multiplied by in stochastic depth
/// (Huang et al. 2016), for u uniform in [0, 1). Not differentiable.
package struct DropPathScale: Op {
  package static let name = "drop_path_scale"
  let rate: Float

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] { [inputs[0]] }

  package func launch(_ site: LaunchSite) -> Launch {
    let vectors = (site.outputs[0].count + 3) / 4
    return Launch([
      Dispatch(
        DropPathScaleKernel.self, push: .init(count4: UInt32(vectors), keep: 1 - rate),
        [.input(0).texels(.rgba32f), .output(0)], groups: .linear(vectors, perGroup: 64))
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] { [nil] }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    [inputs[0].map { (Double(1 - rate) + $0).rounded(.down) / Double(1 - rate) }]
  }

  package static let cases = [1, 7, 129, 1023].map { n in
    OpCase("\(n)", DropPathScale(rate: 0.25), [.init([n], .f32, .uniform(0, 1))], checksGradient: false)
  }
}

extension Value {
  /// The factors of stochastic depth for these uniform numbers.
  package func dropPathScale(rate: Float) throws(ShapeError) -> Value {
    try graph.apply(DropPathScale(rate: rate), to: [self])[0]
  }
}
