import Graph
import Ops

/// What a module needs to know of the pass it is part of.
package struct Forward {
  package let graph: Graph
  /// Whether drop path acts.
  package let training: Bool
  /// u32 [8], see `StepState`.
  package let state: Value
  /// Names the pass, so that its random numbers are its own and do not depend on what else is in the graph.
  package let stream: String

  package init(_ graph: Graph, training: Bool, state: Value, stream: String) {
    self.graph = graph
    self.training = training
    self.state = state
    self.stream = stream
  }

  package func callAsFunction(_ parameter: Parameter) -> Value { graph.parameter(parameter) }

  /// Stochastic depth (Huang et al. 2016): drops the branch of a whole sample with probability `rate`, and scales what
  /// is kept by 1 / (1 - rate).
  package func dropPath(_ branch: Value, rate: Double, name: String) throws(ShapeError) -> Value {
    guard training, rate > 0 else { return branch }
    let u = try noise(name, [branch.shape[0]], .uniform)
    return try branch.scaledPerSample(by: u.dropPathScale(rate: Float(rate)))
  }

  /// Random numbers of this name's own, new ones in each step.
  package func noise(
    _ name: String, _ shape: Shape, _ distribution: Noise.Distribution
  ) throws(ShapeError) -> Value {
    try graph.noise(distribution, shape, stream: streamID("\(stream) \(name)"), state: state)
  }
}

/// FNV-1a, 32 bits (draft-eastlake-fnv): names to random streams.
private func streamID(_ name: String) -> UInt32 {
  name.utf8.reduce(0x811c_9dc5) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
}
