import Graph
import Kernels

/// Brings the experts' results back to their tokens: rows [tokens K, C], scores [tokens, K], slots u32 [tokens K]
/// (, residual [leading..., C]) -> y [leading..., C], y[t] = sum over k of scores[t, k] rows[slots[t K + k]] (+ residual).
package struct Combine: Op {
  package static let name = "combine"
  /// The axes of y before C; their product is the number of tokens.
  let leading: Shape
  var hasResidual = false

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    let (rows, scores) = (inputs[0].shape, inputs[1].shape)
    guard rows.rank == 2, scores.rank == 2, scores[0] == leading.count, rows[0] == scores.count,
      inputs[2] == TensorType([scores.count], .u32)
    else {
      throw mismatch(inputs, "\(leading.count) tokens want rows [tokens K, C], scores [tokens, K], slots [tokens K]")
    }
    let y = TensorType(Shape(leading.extents + [rows.last]))
    guard !hasResidual || inputs[3] == y else { throw mismatch(inputs, "the residual is not \(y)") }
    return [y]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    combineLaunch(
      site, tokens: leading.count, slots: .input(2), scores: .input(1), residual: hasResidual ? .input(3) : nil)
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    guard let dy = pullback.cotangents[0] else { return pullback.inputs.map { _ in nil } }
    guard pullback.needs[0] || pullback.needs[1] else { return [nil, nil, nil, dy] }
    let d = try dy.graph.apply(CombineBackward(), to: pullback.inputs.prefix(3) + [dy])
    return [d[0], d[1], nil] + (hasResidual ? [dy] : [])
  }

  package func absorbing(_ consumer: any Op, operand: Int, keepingOriginal: Bool) -> Absorption? {
    guard consumer is Add, !hasResidual, !keepingOriginal else { return nil }
    return Absorption(Combine(leading: leading, hasResidual: true), extraInputs: [1 - operand])
  }

  package func cost(_ inputs: [TensorType], _ outputs: [TensorType]) -> Cost {
    Cost(flops: 2 * inputs[0].count, bytes: (inputs + outputs).reduce(0) { $0 + $1.bytes })
  }

  package func fills(_ inputs: [TensorType]) -> [OpCase.Fill] {
    [.normal(1), .normal(1), Route.fills(slots: inputs[2].count, experts: 8)[2], .normal(1)].dropLast(
      hasResidual ? 0 : 1)
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (rows, scores, slots) = (inputs[0], inputs[1], inputs[2])
    let (k, c) = (scores.shape.last, rows.shape.last)
    var y = hasResidual ? inputs[3] : HostTensor(zeros: TensorType(Shape(leading.extents + [c])))
    for entry in 0..<scores.data.count {
      for j in 0..<c { y[entry / k * c + j] += scores[entry] * rows[Int(slots[entry]) * c + j] }
    }
    return [y]
  }

  package static let cases = [
    (1, 1, 1, 1), (7, 1, 3, 5), (3, 17, 2, 64), (2, 65, 2, 12), (1, 9, 8, 33),
  ].flatMap { b, t, k, c in
    [false, true].map { residual in
      let tokens = b * t
      var inputs: [OpCase.Input] = [.init([tokens * k, c]), .init([tokens, k]), .slots(tokens: tokens, k: k)]
      if residual { inputs.append(.init([b, t, c])) }
      return OpCase(
        "\(b)x\(t)x\(c), \(k)\(residual ? " + residual" : "")", Combine(leading: [b, t], hasResidual: residual), inputs)
    }
  }
}

/// The launch of `Combine` and `GatherSum`: input 0 holds the rows, output 0 the sums.
func combineLaunch(
  _ site: LaunchSite, tokens: Int, slots: Operand, scores: Operand?, residual: Operand?
) -> Launch {
  let c = site.outputs[0].shape.last
  let lanes = RowClusters(site.outputs[0].shape, site.traits)
  return Launch([
    Dispatch(
      CombineKernel.self,
      constants: .init(
        CLUSTER: lanes.cluster, C: lanes.columns, K: UInt32(site.inputs[0].shape.rows / tokens),
        WEIGHTED: scores != nil,
        RESIDUAL: residual != nil),
      push: .init(tokens: lanes.count),
      [
        .input(0).texels(rowsOf: c), slots.texels(.r32ui), scores?.texels(.r32f) ?? .unused,
        residual?.texels(rowsOf: c) ?? .unused, .output(0),
      ], groups: lanes.groups, lanes: lanes.lanes)
  ])
}

extension OpCase.Input {
  /// The `slots` of some routing of `tokens` to k of k + 3 experts.
  static func slots(tokens: Int, k: Int) -> OpCase.Input {
    let experts = (0..<tokens * k).map { Double(($0 / k * $0 / k + $0) % (k + 3)) }
    let routed = Route(experts: k + 3).reference([HostTensor(TensorType([tokens, k], .u32), experts)])
    return .init([tokens * k], .u32, .values(routed[2].data))
  }
}

extension Value {
  /// The score-weighted sum of each token's rows [tokens K, C], as a tensor [leading..., C].
  package func combined(scores: Value, slots: Value, leading: Shape) throws(ShapeError) -> Value {
    try graph.apply(Combine(leading: leading), to: [self, scores, slots])[0]
  }
}
