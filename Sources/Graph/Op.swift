/// One operation: its shape rule, its launch, its gradient, its meaning and its cases, all in one file.
package protocol Op: Sendable {
  /// The name in dumps, profiles and errors, e.g. `layer_norm`.
  static var name: String { get }

  /// Types of the outputs, or why the inputs do not fit.
  func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType]

  /// The dispatches that compute the outputs: a pure function, tested without a device.
  func launch(_ site: LaunchSite) -> Launch

  /// Every way to compute the outputs at this site that is worth measuring; the first is `launch(site)`. Pure, and all
  /// of them right: they differ in speed, and in rounding only.
  func variants(_ site: LaunchSite) -> [Variant]

  /// Gradients of the inputs as values made of ops; nil where there is none or `pullback.needs` does not ask for it.
  func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?]

  /// The specification, in Double and without tricks: the outputs, then the new contents of the mutated inputs.
  func reference(_ inputs: [HostTensor]) -> [HostTensor]

  /// Inputs that the op overwrites in place.
  var mutates: [Int] { get }

  /// Inputs that must lie side by side in memory, as an optimiser wants its gradients.
  var colocated: Colocation? { get }

  /// This op with a consumer of its first output drawn into it as an epilogue, or nil where it cannot be.
  /// - Parameters:
  ///   - operand: which input of the consumer our output is.
  ///   - keepingOriginal: our own output is needed elsewhere too and becomes output 1 of the result.
  func absorbing(_ consumer: any Op, operand: Int, keepingOriginal: Bool) -> Absorption?

  func cost(_ inputs: [TensorType], _ outputs: [TensorType]) -> Cost

  /// Contents that make sense for inputs of these types, for measuring the op at any size.
  func fills(_ inputs: [TensorType]) -> [OpCase.Fill]

  /// Small instances that every test and bench walks.
  static var cases: [OpCase] { get }
}

extension Op {
  package var name: String { Self.name }
  package var mutates: [Int] { [] }
  package var colocated: Colocation? { nil }

  package func variants(_ site: LaunchSite) -> [Variant] { [Variant("default", launch(site))] }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    throw ShapeError(op: name, inputs: pullback.inputs.map(\.type), reason: "has no gradient")
  }

  package func absorbing(_ consumer: any Op, operand: Int, keepingOriginal: Bool) -> Absorption? { nil }

  /// One floating-point operation per output element; every tensor moved once.
  package func cost(_ inputs: [TensorType], _ outputs: [TensorType]) -> Cost {
    Cost(flops: outputs.reduce(0) { $0 + $1.count }, bytes: (inputs + outputs).reduce(0) { $0 + $1.bytes })
  }

  /// Any floats and bytes; zeros for words, which are indices mostly.
  package func fills(_ inputs: [TensorType]) -> [OpCase.Fill] {
    inputs.map { type in
      switch type.dtype {
      case .f32: .normal(1)
      case .u32: .integers(below: 1)
      case .u8: .integers(below: 256)
      }
    }
  }

  /// A shape error of this op.
  package func mismatch(_ inputs: [TensorType], _ reason: String) -> ShapeError {
    ShapeError(op: name, inputs: inputs, reason: reason)
  }
}

/// What a gradient rule may use.
package struct Pullback {
  package let inputs: [Value]
  package let outputs: [Value]
  /// Gradient of the loss with respect to each output; nil where it does not reach the loss.
  package let cotangents: [Value?]
  /// Which inputs a gradient is wanted for.
  package let needs: [Bool]

  package init(inputs: [Value], outputs: [Value], cotangents: [Value?], needs: [Bool]) {
    self.inputs = inputs
    self.outputs = outputs
    self.cotangents = cotangents
    self.needs = needs
  }
}

/// `inputs` from `first` on are placed at `offsets` (bytes) in one range of `bytes`; dispatches see it as
/// `Operand.colocated`.
package struct Colocation: Sendable {
  package let first: Int
  package let offsets: [Int]
  package let bytes: Int

  package init(first: Int, offsets: [Int], bytes: Int) {
    self.first = first
    self.offsets = offsets
    self.bytes = bytes
  }
}

/// The op that does the work of producer and consumer: its inputs are the producer's followed by these of the consumer's.
package struct Absorption {
  package let op: any Op
  package let extraInputs: [Int]

  package init(_ op: any Op, extraInputs: [Int] = []) {
    self.op = op
    self.extraInputs = extraInputs
  }
}

package struct Cost: Sendable, Hashable {
  package var flops: Int
  package var bytes: Int

  package init(flops: Int, bytes: Int) {
    self.flops = flops
    self.bytes = bytes
  }

  package static func + (a: Cost, b: Cost) -> Cost { Cost(flops: a.flops + b.flops, bytes: a.bytes + b.bytes) }
}

/// An instance of an op that tests check (forward against the reference, gradient against finite differences of the
/// reference, canaries, same bits twice) and benches time.
package struct OpCase: Sendable {
  package enum Fill: Sendable {
    case normal(Double)
    case uniform(Double, Double)
    case integers(below: Int)
    case values([Double])
  }

  package struct Input: Sendable {
    package let type: TensorType
    package let fill: Fill
    /// Whether the op owes a gradient for it; it owes none for integers and for what it treats as given (a teacher's logits).
    package let isDifferentiated: Bool

    package init(_ shape: Shape, _ dtype: DType = .f32, _ fill: Fill = .normal(1), isDifferentiated: Bool = true) {
      type = TensorType(shape, dtype)
      self.fill = fill
      self.isDifferentiated = isDifferentiated && dtype == .f32
    }
  }

  package let name: String
  package let op: any Op
  package let inputs: [Input]
  /// Largest allowed |device - reference|, relative to max(1, max|reference|) of the tensor.
  package let tolerance: Double
  /// Whether the gradient rule is checked.
  package let checksGradient: Bool
  /// How many of the outputs, from the first on, have a gradient; the others only serve the gradient rule.
  package let differentiatedOutputs: Int

  package init(
    _ name: String, _ op: any Op, _ inputs: [Input], tolerance: Double = 1e-5, checksGradient: Bool = true,
    differentiatedOutputs: Int = .max
  ) {
    self.name = name
    self.op = op
    self.inputs = inputs
    self.tolerance = tolerance
    self.checksGradient = checksGradient
    self.differentiatedOutputs = differentiatedOutputs
  }
}
