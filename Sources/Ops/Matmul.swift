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

  package func launch(_ site: LaunchSite) -> Launch {
    guard site.traits.isSoftware else { return tiled(site)[0].launch }
    let size = MatmulSize(site.inputs[0].shape, site.inputs[1].shape, transposing, batched: batched)
    let finish = epilogue.operands(first: 2, columns: size.n)
    let chunks = size.chunks(transposing, site.traits)
    if size.wantsTransposedRight(transposing, site.traits), chunks.count == 1 {
      // The right operand's rows lie so far apart that they share cache sets; turned, its columns are read in order.
      let turned = Matmul(transposing: .right, batched: false, epilogue: epilogue)
      return Launch(
        scratch: [TensorType([size.n, size.k])],
        [
          Dispatch(
            TransposeKernel.self, push: .init(K4: UInt32(size.k / 4), N4: UInt32(size.n / 4)),
            [.input(1).texels(.rgba32f), .scratch(0)], groups: .linear(size.k * size.n / 16, perGroup: 64)),
          turned.product(size, chunks, epilogue, finish, site.traits, right: .scratch(0)),
        ])
    }
    if chunks.count == 1 { return Launch([product(size, chunks, epilogue, finish, site.traits)]) }
    let partial = Epilogue()
    let toScratch = partial.operands(first: 2, columns: size.n, c: .scratch(0))
    return Launch(
      scratch: [TensorType([size.batch, chunks.count, size.m, size.n])],
      [
        product(size, chunks, partial, toScratch, site.traits),
        sumOfPartials(size, chunks, finish),
      ])
  }

  package func variants(_ site: LaunchSite) -> [Variant] {
    site.traits.isSoftware ? [Variant("default", launch(site))] : tiled(site)
  }

  /// Adds the chunks of scratch 0 [batch, chunks, M, N], then the epilogue on the bindings `finish`.
  func sumOfPartials(_ size: MatmulSize, _ chunks: MatmulSize.Chunks, _ finish: [Operand]) -> Dispatch {
    let rows = size.batch * size.m
    return Dispatch(
      SumPartialsKernel.self,
      constants: .init(
        ALIGNED_C: size.n % 4 == 0, HAS_BIAS: epilogue.bias, STORES_PRE: epilogue.keepsPre,
        ACTIVATION: epilogue.activation.rawValue, HAS_RESIDUAL: epilogue.residual),
      push: .init(rows: Int32(rows), M: Int32(size.m), N: Int32(size.n), chunks: Int32(chunks.count)),
      finish + [.scratch(0).texels(rowsOf: size.n)], groups: GroupCount((size.n + 31) / 32, (rows + 7) / 8))
  }

  /// One dispatch: every chunk of every batch member, then `epilogue` on the bindings `finish`.
  private func product(
    _ size: MatmulSize, _ chunks: MatmulSize.Chunks, _ epilogue: Epilogue, _ finish: [Operand], _ traits: DeviceTraits,
    right: Operand = .input(1)
  ) -> Dispatch {
    let (m, n, k) = (Int32(size.m), Int32(size.n), Int32(size.k))
    let z = size.batch * chunks.count
    let (aLength, bLength) = size.contiguous(transposing)
    let tile = size.tile(transposing, traits)
    return Dispatch(
      MatmulLanesKernel.self,
      constants: .init(
        local_size_x: UInt32(tile.localSize), CLUSTER: UInt32(tile.cluster), WHOLE_SUBGROUP: tile.wholeSubgroup,
        ROWS: UInt32(tile.rows), VECTORS: UInt32(tile.vectors), FORM: transposing.rawValue, ALIGNED_A: aLength % 4 == 0,
        ALIGNED_B: bLength % 4 == 0, ALIGNED_C: size.n % 4 == 0, HAS_BIAS: epilogue.bias, STORES_PRE: epilogue.keepsPre,
        ACTIVATION: epilogue.activation.rawValue, HAS_RESIDUAL: epilogue.residual),
      push: .init(M: m, N: n, K: k, chunks: Int32(chunks.count), chunk: Int32(chunks.extent)),
      finish + [.input(0).texels(rowsOf: aLength), right.texels(rowsOf: bLength)],
      groups: tile.groups(rowTiles: tile.rowTiles(size.m), columns: size.n, z))
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    guard let dy = pullback.cotangents[0] else { return [nil, nil] }
    let (a, b) = (pullback.inputs[0], pullback.inputs[1])
    func product(_ needed: Bool, _ x: Value, _ y: Value, _ transposing: Transposition) throws(ShapeError) -> Value? {
      needed ? try dy.graph.apply(Matmul(transposing: transposing, batched: batched), to: [x, y])[0] : nil
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
      Absorption(Matmul(transposing: transposing, batched: batched, epilogue: $0.epilogue), extraInputs: $0.extraInputs)
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
    var c: [Double] = []
    for z in 0..<size.batch {
      for i in 0..<m {
        for j in 0..<n {
          var sum = 0.0
          for l in 0..<k {
            let x = a[z * m * k + (transposing == .left ? l * m + i : i * k + l)]
            let y = b[z * n * k + (transposing == .right ? j * k + l : l * n + j)]
            sum += x * y
          }
          c.append(sum)
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
    let sizes = [(1, 1, 1), (7, 129, 3), (3, 5, 1023), (129, 7, 12), (33, 64, 20), (40, 12, 17)]
    let single = sizes.flatMap { m, n, k in
      [Transposition.none, .right, .left].map { form in
        OpCase("\(form) \(m)x\(n)x\(k)", Matmul(transposing: form, batched: false), operands(form, m, n, k))
      }
    }
    let batches = [Transposition.none, .right, .left].map { form in
      OpCase(
        "\(form) 2 x 3 of 17x8x17", Matmul(transposing: form, batched: true), operands(form, 17, 8, 17, batch: [2, 3]))
    }
    return single + batches + [
      OpCase(
        "rows of three axes", Matmul(transposing: .right, batched: false), [.init([5, 17, 64]), .init([10, 64])]),
      OpCase(
        "weight gradient over two axes", Matmul(transposing: .left, batched: false),
        [.init([5, 17, 8]), .init([5, 17, 12])]),
      OpCase(
        "long rows", Matmul(transposing: .none, batched: false), operands(.none, 128, 1024, 8), checksGradient: false),
      OpCase(
        "split", Matmul(transposing: .left, batched: false), operands(.left, 4, 12, 1201), tolerance: 1e-4,
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
      epilogueCase("kept, residual", .left, 16, 32, 70, both),
      epilogueCase("split, bias, gelu", .left, 3, 5, 1201, gelu),
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

  /// More than one chunk where C alone has too few tiles to keep the device busy, or K exceeds what one loop may do:
  /// software drivers end loops after 65,535 iterations, of four products here.
  func chunks(_ transposing: Transposition, _ traits: DeviceTraits) -> Chunks {
    let tile = tile(transposing, traits)
    return chunks(wanted: 4 / (batch * tile.rowTiles(m) * tile.columnTiles(n)))
  }

  /// About `wanted` chunks, of 256 products at least, and as many as loops demand.
  func chunks(wanted: Int) -> Chunks {
    let least = (k + 262_139) / 262_140
    let count = max(1, min(wanted, k / 256), least)
    let extent = ((k + count - 1) / count + 3) / 4 * 4
    return Chunks(count: (k + extent - 1) / extent, extent: extent)
  }

  /// Whether a right operand with long rows is turned first (docs/performance.md): one pass over it, against M of them.
  func wantsTransposedRight(_ transposing: Transposition, _ traits: DeviceTraits) -> Bool {
    traits.isSoftware && transposing == .none && batch == 1 && n >= 1024 && m >= 128 && (n | k) % 4 == 0
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
