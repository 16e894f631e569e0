import GPU
import Graph
import Kernels

/// Which operand of a product is read transposed; the raw value is the shaders' FORM.
package enum Transposition: UInt32, Sendable, Hashable {
  case none, right, left
}

/// What a matmul does to its sums before they leave the registers (`include/epilogue.glsl`):
/// v = sum + bias; pre = v; v = gelu(v) or v gelu'(aux); c = v + residual.
///
/// Its tensors follow the operands of the product as inputs, in this order: bias, aux, residual.
struct Epilogue: Sendable, Hashable {
  enum Activation: UInt32, Sendable, Hashable {
    case none, gelu, geluDerivative
  }

  var bias = false
  /// The sums with their bias are output 1.
  var keepsPre = false
  var activation = Activation.none
  var residual = false

  var inputs: Int { (bias ? 1 : 0) + (activation == .geluDerivative ? 1 : 0) + (residual ? 1 : 0) }

  /// This epilogue and then `consumer`, which reads our result as its input `operand`; with the inputs this adds.
  func followed(
    by consumer: any Op, operand: Int, keepingOriginal: Bool
  ) -> (epilogue: Epilogue, extraInputs: [Int])? {
    var next = self
    switch consumer {
    case is AddBias where self == Epilogue() && operand == 0 && !keepingOriginal:
      next.bias = true
      return (next, [1])
    case is Gelu where activation == .none && !residual && !keepsPre:
      next.activation = .gelu
      next.keepsPre = keepingOriginal
      return (next, [])
    case is GeluBackward where activation == .none && !residual && !keepsPre && operand == 1 && !keepingOriginal:
      next.activation = .geluDerivative
      return (next, [0])
    case is Add where !residual && (!keepingOriginal || activation == .none && !keepsPre):
      next.residual = true
      next.keepsPre = keepsPre || keepingOriginal
      return (next, [1 - operand])
    default: return nil
    }
  }

  /// Why the tensors behind the product's operands do not fit a result of type `c`, if they do not.
  func misfit(_ tensors: ArraySlice<TensorType>, bias shape: Shape, c: TensorType) -> String? {
    let expected =
      (bias ? [TensorType(shape)] : []) + (activation == .geluDerivative ? [c] : []) + (residual ? [c] : [])
    return Array(tensors) == expected ? nil : "the epilogue wants \(expected)"
  }

  func outputs(_ c: TensorType) -> [TensorType] { keepsPre ? [c, c] : [c] }

  /// Bindings 0 ... 4 of the kernels; our inputs start at `first`, rows of C have `columns` elements.
  func operands(first: Int, columns: Int, c: Operand = .output(0)) -> [Operand] {
    var next = first
    func input(_ present: Bool) -> Operand {
      guard present else { return .unused }
      next += 1
      return .input(next - 1).texels(rowsOf: columns)
    }
    return [input(bias), input(activation == .geluDerivative), input(residual), c, keepsPre ? .output(1) : c]
  }

  /// What a kernel that adds and no more does at the end, and the activation as a pass of its own after it.
  struct Finish {
    let epilogue: Epilogue
    let operands: [Operand]
    let scratch: [TensorType]
    let pass: [Dispatch]
  }

  /// On a software driver a pass costs less than a loop over the rows of a tile (docs/performance.md).
  /// - Parameters:
  ///   - first: as in `operands`.
  ///   - scratch: how many scratch tensors there are already.
  /// - Precondition: no residual behind an activation.
  func finish(first: Int, c: TensorType, scratch: Int, _ traits: DeviceTraits) -> Finish {
    guard activation != .none else {
      return Finish(epilogue: self, operands: operands(first: first, columns: c.shape.last), scratch: [], pass: [])
    }
    precondition(!residual)
    // Not in place: the pass may store an element twice (`include/elementwise.glsl`).
    let sums = keepsPre ? Operand.output(1) : .scratch(scratch)
    let short = Epilogue(bias: bias)
    let vectors = (c.count + 3) / 4
    let read = sums.texels(.rgba32f)
    let pass =
      activation == .gelu
      ? Dispatch(
        GeluKernel.self, push: .init(count4: UInt32(vectors)), [read, .output(0)], vectors: vectors, traits)
      : Dispatch(
        GeluBackwardKernel.self, push: .init(count4: UInt32(vectors)),
        [.input(first + (bias ? 1 : 0)).texels(.rgba32f), read, .output(0)], vectors: vectors, traits)
    return Finish(
      epilogue: short, operands: short.operands(first: first, columns: c.shape.last, c: sums),
      scratch: keepsPre ? [] : [c], pass: [pass])
  }

  /// The outputs for `sums`, by the meaning of the ops that were drawn in; `biased` adds the bias.
  func reference(
    _ sums: HostTensor, _ tensors: ArraySlice<HostTensor>, biased: (HostTensor, HostTensor) -> HostTensor
  ) -> [HostTensor] {
    var tensors = tensors
    let pre = bias ? biased(sums, tensors.removeFirst()) : sums
    var c = pre
    switch activation {
    case .none: break
    case .gelu: c = Gelu().reference([c])[0]
    case .geluDerivative: c = GeluBackward().reference([tensors.removeFirst(), c])[0]
    }
    if residual { c = Add().reference([c, tensors.removeFirst()])[0] }
    return keepsPre ? [c, pre] : [c]
  }
}

/// How the `lanes` kernels cut C: one tile of rows x columns per cluster of lanes (`include/matmul_lanes.glsl`).
struct LaneTile {
  let rows: Int
  let vectors: Int
  let cluster: Int
  let localSize: Int
  let wholeSubgroup: Bool

  /// The fastest tiles on a CPU driver (docs/matmul.md). Code for rows that are not whole vectors is several times longer,
  /// and compiled at run time, so its tile is small.
  init(aligned: Bool, columns: Int, transposing: Transposition, traits: DeviceTraits) {
    cluster = traits.cluster
    rows = !aligned ? 8 : transposing == .left ? 32 : 16
    vectors = aligned && transposing != .left && columns > 4 * cluster ? 2 : 1
    localSize = traits.isSoftware ? traits.subgroupSize : max(64, traits.subgroupSize)
    wholeSubgroup = cluster == traits.subgroupSize
  }

  func rowTiles(_ count: Int) -> Int { (count + rows - 1) / rows }
  func columnTiles(_ columns: Int) -> Int { (columns + 4 * cluster * vectors - 1) / (4 * cluster * vectors) }

  func groups(rowTiles: Int, columns: Int, _ z: Int) -> GroupCount {
    GroupCount((rowTiles * cluster + localSize - 1) / localSize, columnTiles(columns), z)
  }
}
