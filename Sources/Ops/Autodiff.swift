import Graph

extension Graph {
  /// Reverse-mode differentiation: appends the ops that compute the gradient of the sum of `loss`'s elements.
  ///
  /// The walk visits only nodes that lie between the wanted values and the loss. A frozen suffix therefore gets no
  /// weight gradient, and a branch without trained parameters gets nothing at all.
  /// - Returns: one gradient per wanted value; nil where the loss does not depend on it.
  package func gradients(of loss: Value, withRespectTo wanted: [Value]) throws(ShapeError) -> [Value?] {
    let forward = nodes
    var depends = Set(wanted.map(\.id))
    for node in forward where node.inputs.contains(where: depends.contains) { depends.formUnion(node.outputs) }
    guard depends.contains(loss.id) else { return wanted.map { _ in nil } }

    var cotangent: [Int: Value] = [loss.id: try fill(loss.shape, with: 1)]
    for node in forward.reversed() where node.outputs.contains(where: { cotangent[$0] != nil && depends.contains($0) })
    {
      let needs = node.inputs.map(depends.contains)
      guard needs.contains(true) else { continue }
      let gradients = try node.op.vjp(
        Pullback(
          inputs: node.inputs.map(value), outputs: node.outputs.map(value),
          cotangents: node.outputs.map { cotangent[$0] }, needs: needs))
      precondition(gradients.count == node.inputs.count, "\(node.op.name): one gradient per input")
      for (input, gradient) in zip(node.inputs, gradients) where depends.contains(input) {
        guard let gradient else { continue }
        precondition(gradient.shape == types[input].shape, "\(node.op.name): \(gradient.shape) for \(types[input])")
        if let sum = cotangent[input] { cotangent[input] = try sum + gradient } else { cotangent[input] = gradient }
      }
    }
    return wanted.map { cotangent[$0.id] }
  }
}
