import GPU
import Graph
import Kernels

/// One optimiser step for a whole parameter block (Loshchilov and Hutter, "Decoupled weight decay regularization",
/// 2019, algorithm 2, with PyTorch's clipping by the global norm).
///
/// Inputs: 0 parameters, 1 first and 2 second moments, all [n], n a multiple of 64; 3 status u32 [4], word 0 set for good
/// by the first gradient that is not finite: from then on nothing is updated; 4 table u32 [n / 64], by chunk of 64
/// elements the number that belong to parameters, and in bit 31 whether they decay; 5 step state u32 [8] (word 1 learning
/// rate, 2 1 - beta1^t, 3 1 - beta2^t, as bits of f32);
/// from 6 on the gradients. Output: the norm [1] of all gradients before clipping.
package struct AdamW: Op {
  package static let name = "adamw"
  // Double, because 1 - beta2 loses four digits in Float.
  let beta1: Double
  let beta2: Double
  let eps: Double
  let weightDecay: Double
  /// Gradients are scaled down to this global norm; nil leaves them.
  let maxNorm: Double?
  /// Elements in the block.
  let count: Int
  /// First element of each gradient's parameter.
  let offsets: [Int]

  /// Elements of one word of the table.
  package static let chunk = Parameter.alignment

  package var mutates: [Int] { [0, 1, 2, 3] }
  package var colocated: Colocation? { gradients.colocated }
  private var gradients: BlockGradients { BlockGradients(count: count, offsets: offsets, tensors: 3) }

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    if let reason = gradients.misfit(inputs) { throw mismatch(inputs, reason) }
    return [TensorType([1])]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let block = BlockPieces(count, site.traits)
    let updates = block.updates(AdamwKernel.self, site.traits) { vectors in
      .init(
        count4: vectors, take1: Float(1 - beta1), keep2: Float(beta2), take2: Float(1 - beta2), eps: Float(eps),
        weight_decay: Float(weightDecay), max_norm: Float(maxNorm ?? 0))
    } operands: { elements in
      let state = [Operand.input(0), .input(1), .input(2)].map { $0.part(bytesOf: elements) }
      let given: [Operand] = [
        .colocated.part(bytesOf: elements).texels(.rgba32f), .input(4).part(wordsOf: elements).texels(.r32ui),
        .input(5), .input(3), .output(0),
      ]
      return state.map { $0.texels(.rgba32f) } + given + state
    }
    return Launch(scratch: [block.partials], block.norm(table: 4, status: 3) + updates)
  }

  package func fills(_ inputs: [TensorType]) -> [OpCase.Fill] {
    let table = AdamW.table(
      count: count, offsets: offsets, counts: inputs.dropFirst(6).map(\.count), decays: offsets.map { _ in true })
    return [
      .normal(1), .normal(0.1), .uniform(0, 0.1), .values([0, 0, 0, 0]), .values(table.data), .values(Self.state),
    ]
      + offsets.map { _ in .normal(1) }
  }

  /// Step 2: learning rate and corrections.
  private static let state = [2] + ([1e-2, 0.19, 0.001999] as [Float]).map { Double($0.bitPattern) } + [0, 0, 0, 0]

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    var (p, m, v, status) = (inputs[0], inputs[1], inputs[2], inputs[3])
    let gradients = inputs.dropFirst(6)
    let squares = gradients.map { gradient -> Double in gradient.data.reduce(0) { $0 + $1 * $1 } }
    let norm = squares.reduce(0, +).squareRoot()
    if !norm.isFinite { status[0] = 1 }
    guard status[0] == 0 else { return [HostTensor([1], [norm]), p, m, v, status] }

    func float(_ word: Int) -> Double { Double(Float(bitPattern: UInt32(inputs[5][word]))) }
    let (rate, correction1, correction2) = (float(1), float(2), float(3))
    let scale = maxNorm.map { min(1, $0 / (norm + 1e-6)) } ?? 1
    for (offset, gradient) in zip(offsets, gradients) {
      for (j, raw) in gradient.data.enumerated() {
        let (i, g) = (offset + j, raw * scale)
        if UInt32(inputs[4][i / Self.chunk]) >> 31 == 1 { p[i] *= 1 - rate * weightDecay }
        m[i] = beta1 * m[i] + (1 - beta1) * g
        v[i] = beta2 * v[i] + (1 - beta2) * g * g
        let denominator = v[i].squareRoot() / correction2.squareRoot() + eps
        p[i] -= rate / correction1 * m[i] / denominator
      }
    }
    return [HostTensor([1], [norm]), p, m, v, status]
  }

  /// The table of a block whose parameters start at `offsets` and have `counts` elements.
  static func table(count: Int, offsets: [Int], counts: [Int], decays: [Bool]) -> HostTensor {
    var table = HostTensor(zeros: TensorType([count / chunk], .u32))
    for ((offset, elements), decays) in zip(zip(offsets, counts), decays) {
      for start in stride(from: 0, to: elements, by: chunk) {
        let word = UInt32(min(chunk, elements - start)) | (decays ? 1 << 31 : 0)
        table[(offset + start) / chunk] = Double(word)
      }
    }
    return table
  }

  package static let cases: [OpCase] = {
    func test(
      _ name: String, maxNorm: Double? = nil, gradient: OpCase.Fill = .normal(1), halted: Bool = false,
      _ shapes: [Shape]
    ) -> OpCase {
      let block = BlockGradients(placing: shapes, tensors: 3)
      let op = AdamW(
        beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.05, maxNorm: maxNorm, count: block.count,
        offsets: block.offsets)
      let inputs = block.inputs(
        [.normal(1), .normal(0.1), .uniform(0, 0.1)], halted: halted, state: state, gradient: gradient, shapes)
      return OpCase(name, op, inputs, checksGradient: false)
    }
    return [
      test("one element", [[1]]),
      test("odd shapes", [[7], [3, 43], [64], [5, 13]]),
      test("clipped", maxNorm: 1, [[129, 9], [129]]),
      test("below the clipping norm", maxNorm: 1e3, [[33, 2]]),
      test("many groups", maxNorm: 5, [[130, 40], [1023], [40, 64]]),
      test("not finite", gradient: .values([0, .infinity, 1]), [[3]]),
      test("not a number", maxNorm: 1, gradient: .values([0, .nan, 1]), [[3]]),
      test("halted before", halted: true, [[17, 4]]),
    ]
  }()
}

extension Graph {
  /// Updates the block `block`, its moments `block.m` and `block.v` and its status `block.status` by one step.
  /// - Parameters:
  ///   - count: elements of the block, a multiple of 64.
  ///   - gradients: by parameter; nil counts as zero, so that the parameter decays and its moments fade.
  ///   - decays: whether weight decay acts on a parameter.
  ///   - maxNorm: the global norm that gradients are scaled down to; nil leaves them.
  ///   - state: u32 [8], see `AdamW`.
  /// - Returns: the norm [1] of all gradients before clipping. The step runs whether or not it is asked for.
  package func adamW(
    block: String, parameters: [Parameter], count: Int, gradients: [Value?], decays: (Parameter) -> Bool,
    beta1: Double, beta2: Double, eps: Double, weightDecay: Double, maxNorm: Double?, state: Value
  ) throws(ShapeError) -> Value {
    let table = AdamW.table(
      count: count, offsets: parameters.map(\.offset), counts: parameters.map(\.shape.count),
      decays: parameters.map(decays))
    let op = AdamW(
      beta1: beta1, beta2: beta2, eps: eps, weightDecay: weightDecay, maxNorm: maxNorm, count: count,
      offsets: parameters.map(\.offset))
    let blocks = [
      self.block(block, count: count), self.block(block + ".m", count: count), self.block(block + ".v", count: count),
      self.block(block + ".status", count: 4, dtype: .u32),
    ]
    return try apply(op, to: blocks + [constant(table), state] + placed(gradients, for: parameters))[0]
  }

  /// Gradients as they are placed side by side: zeros for what has none.
  func placed(_ gradients: [Value?], for parameters: [Parameter]) throws(ShapeError) -> [Value] {
    var taken: Set<Value> = []
    var placed: [Value] = []
    for (parameter, gradient) in zip(parameters, gradients) {
      var value: Value
      if let gradient { value = gradient } else { value = try fill(parameter.shape, with: 0) }
      // What is placed among the gradients must be written there by an op, and only once.
      if case .node = sources[value.id], !taken.contains(value) {} else { value = try value.copied() }
      taken.insert(value)
      placed.append(value)
    }
    return placed
  }
}
