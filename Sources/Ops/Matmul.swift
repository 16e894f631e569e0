import GPU
import Graph
import Kernels

/// C = op(A) op(B): A [..., M, K], B [..., K, N]; `transposing: .right` reads B as [N, K], `.left` A as [K, M].
///
/// Batched, both have the same leading axes. Otherwise all leading axes of A count as rows, B is a matrix, and with
/// `.left` the rows of both are summed over: A [..., M], B [..., N] -> [M, N], a weight gradient.
package struct Matmul: TokenWise {
  package static let name = "matmul"
  let transposing: Transposition
  let batched: Bool
  var epilogue = Epilogue()
  var cotangent = Cotangent.neither

  package func tokenInputs(_ inputs: [TensorType]) -> [Int]? {
    transposing != .left && inputs[1].shape.rank == 2 && epilogue == Epilogue() ? [0] : nil
  }

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    let (a, b) = (inputs[0].shape, inputs[1].shape)
    guard inputs[0].dtype == .f32, inputs[1].dtype == .f32, a.rank >= 2, b.rank >= 2 else {
      throw mismatch(inputs, "wants two f32 tensors of two axes or more")
    }
    guard !batched || a.extents.dropLast(2) == b.extents.dropLast(2) else {
      throw mismatch(inputs, "leading axes differ")
    }
    guard batched || b.rank == 2 || transposing == .left else {
      throw mismatch(inputs, "the right operand is no matrix")
    }
    let (left, right) = contracted(a, b)
    guard left == right else { throw mismatch(inputs, "inner \(left) != \(right)") }
    let size = MatmulSize(a, b, transposing, batched: batched)
    guard size.m <= 8 * DeviceTraits.guaranteedGroups, size.n <= 32 * DeviceTraits.guaranteedGroups,
      size.batch <= DeviceTraits.guaranteedGroups
    else { throw mismatch(inputs, "more than 524,280 rows, 2,097,120 columns or 65,535 batch members") }
    let leading =
      transposing == .left ? (batched ? Array(a.extents.dropLast(2)) : []) + [size.m] : Array(a.extents.dropLast())
    let c = TensorType(Shape(leading + [size.n]))
    if let reason = epilogue.misfit(inputs[2...], bias: [size.n], c: c) { throw mismatch(inputs, reason) }
    return epilogue.outputs(c)
  }

  /// The extents that are summed over, of the left and the right operand.
  private func contracted(_ a: Shape, _ b: Shape) -> (Int, Int) {
    switch transposing {
    case .none: (a.last, b[-2])
    case .right: (a.last, b.last)
    case .left: batched ? (a[-2], b[-2]) : (a.rows, b.rows)
    }
  }

  package func launch(_ site: LaunchSite) -> Launch { variants(site)[0].launch }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    guard let dy = pullback.cotangents[0] else { return [nil, nil] }
    let (a, b) = (pullback.inputs[0], pullback.inputs[1])
    func product(_ needed: Bool, _ x: Value, _ y: Value, _ transposing: Transposition) throws(ShapeError) -> Value? {
      guard needed else { return nil }
      let op = Matmul(transposing: transposing, batched: batched, cotangent: x == dy ? .left : .right)
      return try dy.graph.apply(op, to: [x, y])[0]
    }
    let needs = pullback.needs
    switch transposing {
    case .none: return [try product(needs[0], dy, b, .right), try product(needs[1], a, dy, .left)]
    case .right: return [try product(needs[0], dy, b, .none), try product(needs[1], dy, a, .left)]
    case .left: return [try product(needs[0], b, dy, .right), try product(needs[1], a, dy, .none)]
    }
  }

  package func absorbing(_ consumer: any Op, operand: Int, keepingOriginal: Bool) -> Absorption? {
    epilogue.followed(by: consumer, operand: operand, keepingOriginal: keepingOriginal).map {
      var fused = self
      fused.epilogue = $0.epilogue
      return Absorption(fused, extraInputs: $0.extraInputs)
    }
  }

  package func cost(_ inputs: [TensorType], _ outputs: [TensorType]) -> Cost {
    let size = MatmulSize(inputs[0].shape, inputs[1].shape, transposing, batched: batched)
    return Cost(
      flops: 2 * size.batch * size.m * size.n * size.k, bytes: (inputs + outputs).reduce(0) { $0 + $1.bytes })
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (a, b) = (inputs[0], inputs[1])
    let size = MatmulSize(a.shape, b.shape, transposing, batched: batched)
    let (m, n, k) = (size.m, size.n, size.k)
    var c = [Double](repeating: 0, count: size.batch * m * n)
    // Unsafe buffers and this order of loops, because tuning asks for products of hundreds of millions of terms.
    c.withUnsafeMutableBufferPointer { c in
      a.data.withUnsafeBufferPointer { a in
        b.data.withUnsafeBufferPointer { b in
          for row in 0..<size.batch * m {
            let (z, i) = row.quotientAndRemainder(dividingBy: m)
            for l in 0..<k {
              let x = a[z * m * k + (transposing == .left ? l * m + i : i * k + l)]
              for j in 0..<n { c[row * n + j] += x * b[z * n * k + (transposing == .right ? j * k + l : l * n + j)] }
            }
          }
        }
      }
    }
    let leading =
      transposing == .left
      ? (batched ? Array(a.shape.extents.dropLast(2)) : []) + [m] : Array(a.shape.extents.dropLast())
    return epilogue.reference(HostTensor(Shape(leading + [n]), c), inputs[2...]) { AddBias().reference([$0, $1])[0] }
  }

  package static let cases: [OpCase] = plainCases + epilogueCases

  private static let plainCases: [OpCase] = {
    let sizes = [
      (1, 1, 1), (7, 129, 3), (3, 5, 1023), (129, 7, 12), (33, 64, 20), (40, 12, 17), (21, 72, 13), (5, 70, 33),
    ]
    let single = sizes.flatMap { m, n, k in
      [Transposition.none, .right, .left].map { form in
        OpCase("\(form) \(m)x\(n)x\(k)", Matmul(transposing: form, batched: false), operands(form, m, n, k))
      }
    }
    let batches = [(17, 8, 17), (35, 40, 12), (33, 136, 8)].flatMap { m, n, k in
      [Transposition.none, .right, .left].map { form in
        OpCase(
          "\(form) 2 x 3 of \(m)x\(n)x\(k)", Matmul(transposing: form, batched: true),
          operands(form, m, n, k, batch: [2, 3]))
      }
    }
    return single + batches + [
      OpCase(
        "rows of three axes", Matmul(transposing: .right, batched: false), [.init([5, 17, 64]), .init([10, 64])]),
      OpCase(
        "weight gradient over two axes", Matmul(transposing: .left, batched: false),
        [.init([5, 17, 8]), .init([5, 17, 12])]),
      OpCase(
        "gradient on the left", Matmul(transposing: .left, batched: false, cotangent: .left),
        operands(.left, 40, 24, 36), checksGradient: false),
      OpCase(
        "gradient on the right", Matmul(transposing: .none, batched: false, cotangent: .right),
        operands(.none, 36, 40, 24), checksGradient: false),
      OpCase(
        "split", Matmul(transposing: .left, batched: false), operands(.left, 20, 40, 1201), tolerance: 1e-4,
        checksGradient: false),
    ]
  }()

  private static let epilogueCases: [OpCase] = {
    let gelu = Epilogue(bias: true, keepsPre: true, activation: .gelu)
    let residual = Epilogue(bias: true, residual: true)
    let derivative = Epilogue(activation: .geluDerivative)
    let both = Epilogue(keepsPre: true, residual: true)
    return [
      epilogueCase("bias, gelu", .right, 19, 64, 12, gelu), epilogueCase("bias, gelu", .right, 11, 7, 5, gelu),
      epilogueCase("bias, residual", .right, 19, 64, 12, residual),
      epilogueCase("bias, residual", .none, 9, 10, 3, residual),
      epilogueCase("gelu'", .none, 19, 64, 12, derivative), epilogueCase("gelu'", .none, 9, 7, 3, derivative),
      epilogueCase("kept, residual", .left, 16, 40, 70, both),
      epilogueCase("split, bias, gelu", .left, 3, 5, 1201, gelu),
      // Large enough for lane stores (`PanelTile.storesByLanes`), with edges on both sides.
      epilogueCase("bias, gelu", .right, 270, 248, 64, gelu), epilogueCase("gelu'", .none, 270, 248, 64, derivative),
      epilogueCase("bias, residual", .none, 700, 96, 32, residual),
      epilogueCase("kept, residual", .left, 270, 248, 70, both),
    ]
  }()

  private static func epilogueCase(
    _ name: String, _ form: Transposition, _ m: Int, _ n: Int, _ k: Int, _ epilogue: Epilogue
  ) -> OpCase {
    let c = OpCase.Input([m, n])
    return OpCase(
      "\(form) \(m)x\(n)x\(k), \(name)", Matmul(transposing: form, batched: false, epilogue: epilogue),
      operands(form, m, n, k) + (epilogue.bias ? [.init([n])] : [])
        + (epilogue.activation == .geluDerivative ? [c] : []) + (epilogue.residual ? [c] : []),
      tolerance: 1e-4, checksGradient: false)
  }

  private static func operands(
    _ form: Transposition, _ m: Int, _ n: Int, _ k: Int, batch: [Int] = []
  ) -> [OpCase.Input] {
    [
      .init(Shape(batch + (form == .left ? [k, m] : [m, k]))),
      .init(Shape(batch + (form == .right ? [n, k] : [k, n]))),
    ]
  }
}

/// Which factor of a product is the gradient of the loss with respect to something, and so perhaps too small for f16; the raw value is
/// SCALED in `include/matmul_matrix.glsl`.
enum Cotangent: UInt32, Sendable, Hashable { case neither, left, right }

/// The extents of a product of matrices.
struct MatmulSize {
  let batch: Int
  let m: Int
  let n: Int
  let k: Int

  init(_ a: Shape, _ b: Shape, _ transposing: Transposition, batched: Bool) {
    batch = batched ? a.extents.dropLast(2).reduce(1, *) : 1
    n = transposing == .right ? b[-2] : b.last
    m = transposing == .left ? a.last : batched ? a[-2] : a.rows
    k = transposing == .left ? (batched ? a[-2] : a.rows) : a.last
  }

  /// Lengths of the rows of A and of B as they lie in memory.
  func contiguous(_ transposing: Transposition) -> (a: Int, b: Int) {
    (transposing == .left ? m : k, transposing == .right ? k : n)
  }

  /// K is cut into `count` chunks of `extent` products each.
  struct Chunks {
    let count: Int
    let extent: Int
  }

  /// About `wanted` chunks, so that a C of few tiles keeps the device busy, of 256 products at least; and as many as loops
  /// demand: software drivers end them after 65,535 iterations, of four products here.
  func chunks(wanted: Int) -> Chunks {
    let least = (k + 262_139) / 262_140
    let count = max(1, min(wanted, k / 256), least)
    let extent = ((k + count - 1) / count + 3) / 4 * 4
    return Chunks(count: (k + extent - 1) / extent, extent: extent)
  }

  func tile(_ transposing: Transposition, _ traits: DeviceTraits) -> LaneTile {
    let (a, b) = contiguous(transposing)
    return LaneTile(aligned: (a | b | n) % 4 == 0, columns: n, transposing: transposing, traits: traits)
  }
}

extension Value {
  /// The product with `other`; batched when `other` has more than two axes, see `Matmul`.
  package func matmul(_ other: Value, transposing: Transposition = .none) throws(ShapeError) -> Value {
    try graph.apply(Matmul(transposing: transposing, batched: other.shape.rank > 2), to: [self, other])[0]
  }
}
