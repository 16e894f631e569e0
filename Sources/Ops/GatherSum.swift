import Graph

/// Gradient of handing each of a token's K slots the token's row: rows [tokens K, C], slots u32 [tokens K]
/// (, residual [leading..., C]) -> [leading..., C], the sum over k of rows[slots[t K + k]] (+ residual), in order of k.
package struct GatherSum: Op {
  package static let name = "gather_sum"
  /// The axes of the result before C; their product is the number of tokens.
  let leading: Shape
  var hasResidual = false

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    let (rows, slots) = (inputs[0].shape, inputs[1])
    guard rows.rank == 2, slots == TensorType([rows[0]], .u32), rows[0] % leading.count == 0 else {
      throw mismatch(inputs, "\(leading.count) tokens want rows [tokens K, C] and u32 slots [tokens K]")
    }
    let sum = TensorType(Shape(leading.extents + [rows.last]))
    guard !hasResidual || inputs[2] == sum else { throw mismatch(inputs, "the residual is not \(sum)") }
    return [sum]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    combineLaunch(
      site, tokens: leading.count, slots: .input(1), scores: nil, residual: hasResidual ? .input(2) : nil)
  }

  package func absorbing(_ consumer: any Op, operand: Int, keepingOriginal: Bool) -> Absorption? {
    guard consumer is Add, !hasResidual, !keepingOriginal else { return nil }
    return Absorption(GatherSum(leading: leading, hasResidual: true), extraInputs: [1 - operand])
  }

  package func cost(_ inputs: [TensorType], _ outputs: [TensorType]) -> Cost {
    Cost(flops: inputs[0].count, bytes: (inputs + outputs).reduce(0) { $0 + $1.bytes })
  }

  package func fills(_ inputs: [TensorType]) -> [OpCase.Fill] {
    [.normal(1), Route.fills(slots: inputs[1].count, experts: 8)[2], .normal(1)].dropLast(hasResidual ? 0 : 1)
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (rows, slots) = (inputs[0], inputs[1])
    let (k, c) = (slots.data.count / leading.count, rows.shape.last)
    var sum = hasResidual ? inputs[2] : HostTensor(zeros: TensorType(Shape(leading.extents + [c])))
    for entry in slots.data.indices {
      for j in 0..<c { sum[entry / k * c + j] += rows[Int(slots[entry]) * c + j] }
    }
    return [sum]
  }

  package static let cases = [(1, 1, 1, 1), (7, 1, 3, 5), (3, 17, 2, 64), (1, 9, 8, 33)].flatMap { b, t, k, c in
    [false, true].map { residual in
      var inputs: [OpCase.Input] = [.init([b * t * k, c]), .slots(tokens: b * t, k: k)]
      if residual { inputs.append(.init([b, t, c])) }
      return OpCase(
        "\(b)x\(t)x\(c), \(k)\(residual ? " + residual" : "")", GatherSum(leading: [b, t], hasResidual: residual),
        inputs, checksGradient: false)
    }
  }
}

extension Value {
  /// The sum of each token's K rows of [tokens K, C], as a tensor [leading..., C].
  package func gatherSummed(slots: Value, leading: Shape) throws(ShapeError) -> Value {
    try graph.apply(GatherSum(leading: leading), to: [self, slots])[0]
  }
}
