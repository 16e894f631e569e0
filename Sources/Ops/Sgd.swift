import GPU
import Graph
import Kernels

/// One step of stochastic gradient descent with Nesterov's momentum for a whole parameter block (Sutskever et al., "On the
/// importance of initialization and momentum in deep learning", 2013, in PyTorch's form): m = momentum m + g, p -= rate (g + momentum m).
///
/// Inputs: 0 parameters and 1 momentum, both [n], n a multiple of 64; 2 status u32 [4], 3 table u32 [n / 64] and 4 step
/// state u32 [8] as `AdamW` has them; from 5 on the gradients. Output: the norm [1] of all gradients.
package struct Sgd: Op {
  package static let name = "sgd"
  let momentum: Double
  let weightDecay: Double
  /// Elements in the block.
  let count: Int
  /// First element of each gradient's parameter.
  let offsets: [Int]

  package var mutates: [Int] { [0, 1, 2] }
  package var colocated: Colocation? { gradients.colocated }
  private var gradients: BlockGradients { BlockGradients(count: count, offsets: offsets, tensors: 2) }

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    if let reason = gradients.misfit(inputs) { throw mismatch(inputs, reason) }
    return [TensorType([1])]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let block = BlockPieces(count, site.traits)
    let updates = block.updates(SgdKernel.self, site.traits) { vectors in
      .init(count4: vectors, momentum: Float(momentum), weight_decay: Float(weightDecay))
    } operands: { elements in
      let state = [Operand.input(0), .input(1)].map { $0.part(bytesOf: elements) }
      let given: [Operand] = [
        .colocated.part(bytesOf: elements).texels(.rgba32f), .input(3).part(wordsOf: elements).texels(.r32ui),
        .input(4), .input(2),
      ]
      return state.map { $0.texels(.rgba32f) } + given + state
    }
    return Launch(scratch: [block.partials], block.norm(table: 3, status: 2) + updates)
  }

  package func fills(_ inputs: [TensorType]) -> [OpCase.Fill] {
    let table = AdamW.table(
      count: count, offsets: offsets, counts: inputs.dropFirst(5).map(\.count), decays: offsets.map { _ in true })
    return [
      .normal(1), .normal(0.1), .values([0, 0, 0, 0]), .values(table.data), .values(Sgd.state),
    ] + offsets.map { _ in .normal(1) }
  }

  /// Step 2 at a rate of 0.01.
  private static let state = [2, Double(Float(1e-2).bitPattern), 0, 0, 0, 0, 0, 0]

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    var (p, m, status) = (inputs[0], inputs[1], inputs[2])
    let gradients = inputs.dropFirst(5)
    let norm = gradients.reduce(0) { $0 + $1.data.reduce(0) { $0 + $1 * $1 } }.squareRoot()
    if !norm.isFinite { status[0] = 1 }
    guard status[0] == 0 else { return [HostTensor([1], [norm]), p, m, status] }

    let rate = Double(Float(bitPattern: UInt32(inputs[4][1])))
    for (offset, gradient) in zip(offsets, gradients) {
      for (j, raw) in gradient.data.enumerated() {
        let i = offset + j
        let g = raw + (UInt32(inputs[3][i / AdamW.chunk]) >> 31 == 1 ? weightDecay * p[i] : 0)
        m[i] = momentum * m[i] + g
        p[i] -= rate * (g + momentum * m[i])
      }
    }
    return [HostTensor([1], [norm]), p, m, status]
  }

  package static let cases: [OpCase] = {
    func test(_ name: String, gradient: OpCase.Fill = .normal(1), halted: Bool = false, _ shapes: [Shape]) -> OpCase {
      let block = BlockGradients(placing: shapes, tensors: 2)
      let inputs = block.inputs(
        [.normal(1), .normal(0.1)], halted: halted, state: state, gradient: gradient, shapes)
      return OpCase(
        name, Sgd(momentum: 0.9, weightDecay: 0.05, count: block.count, offsets: block.offsets), inputs,
        checksGradient: false)
    }
    return [
      test("one element", [[1]]),
      test("odd shapes", [[7], [3, 43], [64], [5, 13]]),
      test("many groups", [[130, 40], [1023], [40, 64]]),
      test("not finite", gradient: .values([0, .infinity, 1]), [[3]]),
      test("halted before", halted: true, [[17, 4]]),
    ]
  }()
}

extension Graph {
  /// Updates the block `block`, its momentum `block.m` and its status `block.status` by one step; see `adamW`.
  package func sgd(
    block: String, parameters: [Parameter], count: Int, gradients: [Value?], decays: (Parameter) -> Bool,
    momentum: Double, weightDecay: Double, state: Value
  ) throws(ShapeError) -> Value {
    let table = AdamW.table(
      count: count, offsets: parameters.map(\.offset), counts: parameters.map(\.shape.count),
      decays: parameters.map(decays))
    let op = Sgd(momentum: momentum, weightDecay: weightDecay, count: count, offsets: parameters.map(\.offset))
    let blocks = [
      self.block(block, count: count), self.block(block + ".m", count: count),
      self.block(block + ".status", count: 4, dtype: .u32),
    ]
    return try apply(op, to: blocks + [constant(table), state] + placed(gradients, for: parameters))[0]
  }
}
