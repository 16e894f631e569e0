import GPU
import Graph
import Kernels

/// One product per expert over the rows (slots) that were sorted to it, in one dispatch; row(s) = entries[s] / K of the
/// operand that is `gathered`, else s.
///
/// * `.none`, `.right`: C[s, :] = A[row(s), :] op(B_e), B [E, K, N] or [E, N, K], C [S, N], for s of expert e.
/// * `.left`: C_e = sum over s of e of A[row(s), :]^T B[row(s), :], C [E, M, N]; zeros where e has no slots.
///
/// Inputs: A, B, then `offsets`, `entries`, `slots` of the routing, then the epilogue's, with a bias of [E, N].
package struct GroupedMatmul: Op {
  package static let name = "grouped_matmul"

  /// Which operand's rows are tokens, to be found through `entries`; the raw value is the shader's GATHERED.
  enum Gathered: UInt32, Sendable, Hashable {
    case neither, left, right
  }

  let transposing: Transposition
  let gathered: Gathered
  var epilogue = Epilogue()
  var cotangent = Cotangent.neither

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    let (a, b, experts, slots) = (inputs[0].shape, inputs[1].shape, inputs[2].count - 1, inputs[3].count)
    guard inputs[2].dtype == .u32, experts >= 1, inputs[3] == TensorType([slots], .u32), inputs[4] == inputs[3] else {
      throw mismatch(inputs, "wants u32 offsets [E + 1], entries [S], slots [S]")
    }
    for (operand, shape) in [(Gathered.left, a), (.right, b)] where operand == .left || transposing == .left {
      guard operand == gathered ? slots % shape.rows == 0 : slots == shape.rows else {
        throw mismatch(inputs, "\(shape.rows) rows for \(slots) slots")
      }
    }
    let c: TensorType
    if transposing == .left {
      c = TensorType([experts, a.last, b.last])
    } else {
      guard b.rank == 3, b[0] == experts, gathered != .right else {
        throw mismatch(inputs, "wants a matrix for each of \(experts) experts")
      }
      let inner = transposing == .right ? b[2] : b[1]
      guard inner == a.last else { throw mismatch(inputs, "inner \(a.last) != \(inner)") }
      c = TensorType([slots, transposing == .right ? b[1] : b[2]])
    }
    guard slots <= 8 * (DeviceTraits.guaranteedGroups - experts), c.shape.rows <= 8 * DeviceTraits.guaranteedGroups
    else {
      throw mismatch(inputs, "more than 524,280 rows")
    }
    if let reason = epilogue.misfit(inputs[5...], bias: [experts, c.shape.last], c: c) {
      throw mismatch(inputs, reason)
    }
    return epilogue.outputs(c)
  }

  package func launch(_ site: LaunchSite) -> Launch { variants(site)[0].launch }

  package func variants(_ site: LaunchSite) -> [Variant] {
    guard site.traits.isSoftware else { return tiled(site) }
    let (a, n) = (site.inputs[0].shape, site.outputs[0].shape.last)
    let slots = site.inputs[3].count
    let rowsPerExpert = slots / (site.inputs[2].count - 1)
    let heights = PanelTile.heights(site.traits)
    // Packing is one pass over weights or rows, which few rows an expert do not earn back.
    let packings = transposing == .right ? [false] : rowsPerExpert >= 128 ? [true, false] : [false, true]
    let rows = transposing == .left ? a.last : slots
    let addressed = AddressedTile.variants(rows: rows, columns: n, packings: packings, site.traits) {
      self.addressed(site, $0, packs: $1)
    }
    var candidates: [Variant?] = []
    if transposing == .left {
      candidates = heights.map { rows in gradientPanels(site, rows).map { Variant("panels \(rows)", $0) } }
      // Packing is one pass over the rows, which a small gradient does not earn back, with 512 bits a smaller one.
      let pays = rowsPerExpert >= 32 && a.last * n >= (site.traits.subgroupSize > 8 ? 1 << 14 : 1 << 17)
      candidates.insert(Variant("lanes", lanes(site)), at: pays ? candidates.count : 0)
    } else {
      func variant(_ packing: PanelTile.Packing, _ rows: Int) -> Variant? {
        panels(site, packing, rows).map { Variant("\(packing.rawValue) \(rows)", $0) }
      }
      // A short tile is for an expert of few rows.
      let inPlace = (rowsPerExpert < 48 ? heights.sorted() : heights).map { variant(.neither, $0) }
      let packed = [variant(.both, heights[0]), variant(.right, heights[0])]
      // Packing is one pass over the weights of every expert; it pays where those leave the second-level cache and are read often.
      let pays = a.last * n >= 1 << 19 && rowsPerExpert >= 256
      candidates = (pays ? packed + inPlace : inPlace + packed) + [Variant("lanes", lanes(site))]
    }
    let fitting = (addressed + candidates).compactMap { $0 }.filter { $0.launch.misfit(at: site) == nil }
    return fitting.isEmpty ? tiled(site) : fitting + tiled(site).filter(\.roundsFactors)
  }

  /// Each expert's weights are the right operand, its rows the left; nil where the kernel does not do it.
  private func panels(_ site: LaunchSite, _ packing: PanelTile.Packing, _ rows: Int) -> Launch? {
    let (a, c) = (site.inputs[0].shape, site.outputs[0].shape)
    let (experts, slots, k, n) = (site.inputs[2].count - 1, site.inputs[3].count, a.last, c.last)
    guard transposing != .left, k % 4 == 0, let tile = PanelTile(rows: rows, columns: n, traits: site.traits),
      packing == .neither || tile.packs(k: k), epilogue.activation == .none || !epilogue.residual
    else { return nil }
    // Each expert may end in a tile of its own that is not full.
    let groups = tile.groups(rows: slots + experts * tile.rows, columns: n, chunks: 1)
    let divisor = Int32(gathered == .left ? slots / a.rows : 1)
    let routing = [Operand.input(2).texels(.r32ui), .input(3).texels(.r32ui)]
    let packedRows = tile.packed(groups.x * tile.rows, quads: k / 4, isRight: false)
    let packWeights = tile.pack(
      .input(1), to: .scratch(0), matrices: experts, count: n, k: k, alongK: transposing == .right, isRight: true)
    let packRows = Dispatch(
      PackExpertRowsKernel.self,
      constants: .init(GATHERED: gathered == .left, ROWS: Int32(tile.rows), LANES: UInt32(tile.lanes)),
      push: .init(K4: Int32(k / 4), experts: Int32(experts), divisor: divisor),
      [.input(0).texels(.rgba32f)] + routing + [.scratch(1)],
      groups: tile.packingGroups(groups.x * tile.rows, quads: k / 4, alongK: true, isRight: false))
    let (packsRows, packsWeights, orders) = (packing == .both, packing != .neither, packing.orders(transposing))
    let scratch =
      (packsWeights ? [tile.packed(matrices: experts, n, quads: k / 4, isRight: true)] : [])
      + (packsRows ? [packedRows] : [])
    let byLanes = tile.storesByLanes(elements: c.count, products: k)
    let end = epilogue.finish(first: 5, c: site.outputs[0], scratch: scratch.count, site.traits)
    return Launch(
      scratch: scratch + end.scratch,
      (packsWeights ? [packWeights] : []) + (packsRows ? [packRows] : []) + [
        Dispatch(
          GroupedPanelsKernel.self,
          constants: .init(
            local_size_x: UInt32(tile.lanes), CLUSTER: UInt32(tile.lanes),
            A_ORDER: orders.left, B_ORDER: orders.right,
            ROWS: Int32(tile.rows), GATHERED: gathered == .left, AT_ONCE: tile.rowsAtOnce,
            BY_LANES: byLanes, VECTORS: UInt32(tile.vectors), ALIGNED_C: true, HAS_BIAS: end.epilogue.bias,
            STORES_PRE: end.epilogue.keepsPre, HAS_RESIDUAL: end.epilogue.residual),
          push: .init(N: Int32(n), K4: Int32(k / 4), experts: Int32(experts), divisor: divisor),
          end.operands
            + [
              (packsRows ? Operand.scratch(1) : .input(0)).texels(.rgba32f),
              (packsWeights ? Operand.scratch(0) : .input(1)).texels(.rgba32f),
            ] + routing,
          groups: groups, lanes: tile.lanes(byLanes: byLanes))
      ] + end.pass)
  }

  /// Nil where the kernels do not do it.
  private func addressed(_ site: LaunchSite, _ shape: AddressedTile.Shape, packs: Bool) -> Launch? {
    let (a, b, c) = (site.inputs[0].shape, site.inputs[1].shape, site.outputs[0].shape)
    let (experts, slots, n) = (site.inputs[2].count - 1, site.inputs[3].count, c.last)
    let isGradient = transposing == .left
    let (rows, depth) = isGradient ? (a.last, slots) : (slots, a.last)
    let divisor = gathered == .neither ? 1 : slots / (gathered == .left ? a : b).rows
    let gathering =
      isGradient && gathered != .neither
      ? AddressedTile.Gathering(operand: gathered == .left ? 0 : 1, divisor: divisor) : nil
    let summed = isGradient ? max(1, slots / experts) : depth
    guard let tile = AddressedTile(shape, rows: rows, columns: n, depth: summed, site.traits),
      let read = tile.operands(
        transposing, packs: packs, matrices: isGradient ? 1 : experts, m: rows, n: n, k: depth, gathering: gathering),
      epilogue.activation == .none || !epilogue.residual
    else { return nil }
    let end = epilogue.finish(first: 5, c: site.outputs[0], scratch: read.scratch.count, site.traits)
    let operands =
      end.operands + [read.left, read.right, .input(2).texels(.r32ui), .input(3).texels(.r32ui)]
    let product =
      isGradient
      ? Dispatch(
        GroupedAddressedGradientKernel.self,
        constants: .init(
          local_size_x: UInt32(tile.lanes), GATHERED: packs ? Gathered.neither.rawValue : gathered.rawValue,
          ROWS: Int32(shape.rows), WIDTH: Int32(tile.columns), DEPTH: Int32(tile.depth),
          A_PANEL: Int32(read.leftPanel), B_PANELS: read.rightInPanels, HAS_BIAS: end.epilogue.bias,
          STORES_PRE: end.epilogue.keepsPre, HAS_RESIDUAL: end.epilogue.residual, LANES: UInt32(tile.lanes)),
        push: .init(M: Int32(rows), N: Int32(n), S: Int32(slots), divisor: Int32(divisor)), operands,
        groups: GroupCount(
          (rows + shape.rows - 1) / shape.rows, experts, (n + tile.columns - 1) / tile.columns))
      : Dispatch(
        GroupedAddressedKernel.self,
        constants: .init(
          local_size_x: UInt32(tile.lanes), GATHERED: gathered == .left, ROWS: Int32(shape.rows),
          WIDTH: Int32(tile.columns), DEPTH: Int32(tile.depth), B_PANELS: read.rightInPanels,
          HAS_BIAS: end.epilogue.bias,
          STORES_PRE: end.epilogue.keepsPre, HAS_RESIDUAL: end.epilogue.residual, LANES: UInt32(tile.lanes)),
        push: .init(N: Int32(n), K: Int32(depth), experts: Int32(experts), divisor: Int32(divisor)), operands,
        // Each expert may end in a tile of its own that is not full.
        groups: tile.groups(rows: slots + experts * shape.rows, columns: n, 1))
    return Launch(scratch: read.scratch + end.scratch, read.before + [product] + end.pass)
  }

  /// Form `.left`, both operands packed first; nil where the kernel does not do it.
  private func gradientPanels(_ site: LaunchSite, _ rows: Int) -> Launch? {
    let (a, b) = (site.inputs[0].shape, site.inputs[1].shape)
    let (experts, slots, m, n) = (site.inputs[2].count - 1, site.inputs[3].count, a.last, b.last)
    // A software driver ends loops after 65,535 iterations, here of four rows.
    guard transposing == .left, m % 4 == 0, slots <= 262_140,
      let tile = PanelTile(rows: rows, columns: n, traits: site.traits), tile.packs(k: slots)
    else { return nil }
    let quads = slots / 4 + experts
    let left = tile.packed(m, quads: quads, isRight: false)
    let right = tile.packed(n, quads: quads, isRight: true)
    func pack(_ input: Int, to packed: Int, _ type: TensorType, _ operand: Gathered) -> Dispatch {
      let (shape, isRight) = (site.inputs[input].shape, operand == .right)
      return Dispatch(
        PackExpertColumnsKernel.self,
        constants: .init(
          GATHERED: gathered == operand, DIVISOR: UInt32(gathered == operand ? slots / shape.rows : 1),
          WIDTH: Int32(type.shape[3]), RIGHT: isRight,
          BITS: Int32(Int.bitWidth - (experts - 1).leadingZeroBitCount), LANES: UInt32(tile.lanes)),
        push: .init(R: Int32(shape.last), K4: Int32(quads), experts: Int32(experts)),
        [.input(input).texels(.rgba32f), .input(2).texels(.r32ui), .input(3).texels(.r32ui), .scratch(packed)],
        groups: tile.packingGroups(shape.last, quads: quads, alongK: false, isRight: isRight))
    }
    let plain = tile.groups(rows: m, columns: n, chunks: 1)
    // Of a column tile, so that few column tiles are shared out evenly, too; none is empty.
    let wanted = (16 + plain.y - 1) / plain.y
    let rowTiles = (plain.x + wanted - 1) / wanted
    let slices = (plain.x + rowTiles - 1) / rowTiles
    let byLanes = tile.storesByLanes(elements: experts * m * n, products: slots / experts)
    return Launch(
      scratch: [left, right],
      [
        pack(0, to: 0, left, .left), pack(1, to: 1, right, .right),
        Dispatch(
          GroupedGradientKernel.self,
          constants: .init(
            local_size_x: UInt32(tile.lanes), CLUSTER: UInt32(tile.lanes), ROWS: Int32(tile.rows),
            AT_ONCE: tile.rowsAtOnce,
            BY_LANES: byLanes, VECTORS: UInt32(tile.vectors), ALIGNED_C: true,
            HAS_BIAS: epilogue.bias, STORES_PRE: epilogue.keepsPre, HAS_RESIDUAL: epilogue.residual),
          push: .init(M: Int32(m), N: Int32(n), K4: Int32(quads), slices: Int32(slices)),
          epilogue.operands(first: 5, columns: n)
            + [.scratch(0).texels(.rgba32f), .scratch(1).texels(.rgba32f), .input(2).texels(.r32ui)],
          groups: GroupCount(rowTiles, experts, plain.y * slices), lanes: tile.lanes(byLanes: byLanes)),
      ])
  }

  private func lanes(_ site: LaunchSite) -> Launch {
    let (a, b, c) = (site.inputs[0].shape, site.inputs[1].shape, site.outputs[0].shape)
    let (experts, slots) = (site.inputs[2].count - 1, site.inputs[3].count)
    let tile = LaneTile(
      aligned: (a.last | b.last | c.last) % 4 == 0, columns: c.last, transposing: transposing, traits: site.traits)
    // Each expert may end in a tile of its own that is not full.
    let plain = tile.groups(
      rowTiles: transposing == .left ? tile.rowTiles(a.last) : tile.rowTiles(slots) + experts, columns: c.last, 1)
    let groups = transposing == .left ? GroupCount(plain.x, experts, plain.y) : plain
    let source = gathered == .right ? b : a
    return Launch([
      Dispatch(
        GroupedMatmulKernel.self,
        constants: .init(
          local_size_x: UInt32(tile.localSize), CLUSTER: UInt32(tile.cluster), WHOLE_SUBGROUP: tile.wholeSubgroup,
          ROWS: UInt32(tile.rows), VECTORS: UInt32(tile.vectors), FORM: transposing.rawValue,
          ALIGNED_A: a.last % 4 == 0, ALIGNED_B: b.last % 4 == 0, GATHERED: gathered.rawValue,
          DIVISOR: UInt32(gathered == .neither ? 1 : slots / source.rows), ALIGNED_C: c.last % 4 == 0,
          HAS_BIAS: epilogue.bias, STORES_PRE: epilogue.keepsPre,
          ACTIVATION: epilogue.activation.rawValue, HAS_RESIDUAL: epilogue.residual),
        push: .init(M: Int32(a.last), N: Int32(c.last), K: Int32(a.last), experts: Int32(experts)),
        epilogue.operands(first: 5, columns: c.last) + [
          .input(0).texels(rowsOf: a.last), .input(1).texels(rowsOf: b.last), .input(2).texels(.r32ui),
          .input(3).texels(.r32ui),
        ],
        groups: groups)
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    guard transposing != .left else { throw mismatch(pullback.inputs.map(\.type), "weight gradients have no gradient") }
    guard let dy = pullback.cotangents[0] else { return pullback.inputs.map { _ in nil } }
    let (x, weights, needs) = (pullback.inputs[0], pullback.inputs[1], pullback.needs)
    let routing = Array(pullback.inputs[2...4])
    func product(_ a: Value, _ b: Value, _ form: Transposition, _ gathered: Gathered) throws(ShapeError) -> Value {
      let op = GroupedMatmul(transposing: form, gathered: gathered, cotangent: a == dy ? .left : .right)
      return try dy.graph.apply(op, to: [a, b] + routing)[0]
    }
    var dx: Value?
    if needs[0] {
      let rows = try product(dy, weights, transposing == .right ? .none : .right, .neither)
      dx =
        gathered == .left ? try rows.gatherSummed(slots: routing[2], leading: Shape(x.shape.extents.dropLast())) : rows
    }
    var dWeights: Value?
    if needs[1] {
      dWeights =
        transposing == .right
        ? try product(dy, x, .left, gathered == .left ? .right : .neither) : try product(x, dy, .left, gathered)
    }
    let dBias = epilogue.bias && needs[5] ? try dy.graph.apply(GroupedColumnSum(), to: [dy, routing[0]])[0] : nil
    return [dx, dWeights, nil, nil, nil] + (epilogue.bias ? [dBias] : [])
  }

  package func absorbing(_ consumer: any Op, operand: Int, keepingOriginal: Bool) -> Absorption? {
    guard !(consumer is AddBias) else { return nil }  // its bias is one row for all experts
    return epilogue.followed(by: consumer, operand: operand, keepingOriginal: keepingOriginal).map {
      var fused = self
      fused.epilogue = $0.epilogue
      return Absorption(fused, extraInputs: $0.extraInputs)
    }
  }

  package func cost(_ inputs: [TensorType], _ outputs: [TensorType]) -> Cost {
    let inner = transposing == .left ? inputs[1].shape.last : outputs[0].shape.last
    return Cost(
      flops: 2 * inputs[3].count * inputs[0].shape.last * inner, bytes: (inputs + outputs).reduce(0) { $0 + $1.bytes })
  }

  package func fills(_ inputs: [TensorType]) -> [OpCase.Fill] {
    let routing = Route.fills(slots: inputs[3].count, experts: inputs[2].count - 1)
    return [.normal(1), .normal(1)] + routing + inputs.dropFirst(5).map { _ in .normal(1) }
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (a, b, offsets, entries) = (inputs[0], inputs[1], inputs[2], inputs[3])
    let (slots, experts) = (entries.data.count, offsets.data.count - 1)
    func row(_ s: Int, _ operand: Gathered, of x: HostTensor) -> Int {
      operand == gathered ? Int(entries[s]) / (slots / x.shape.rows) : s
    }
    func expert(of s: Int) -> Int { (0..<experts).last { Int(offsets[$0]) <= s } ?? 0 }
    let k = a.shape.last
    if transposing == .left {
      let n = b.shape.last
      var c = HostTensor(zeros: TensorType([experts, k, n]))
      for s in 0..<slots {
        let (x, y, at) = (row(s, .left, of: a) * k, row(s, .right, of: b) * n, expert(of: s) * k * n)
        for i in 0..<k { for j in 0..<n { c[at + i * n + j] += a[x + i] * b[y + j] } }
      }
      return epilogue.reference(c, inputs[5...]) { c, _ in c }
    }
    let n = transposing == .right ? b.shape[1] : b.shape[2]
    var c = HostTensor(zeros: TensorType([slots, n]))
    for s in 0..<slots {
      let (x, e) = (row(s, .left, of: a) * k, expert(of: s))
      for j in 0..<n {
        for l in 0..<k { c[s * n + j] += a[x + l] * b[e * k * n + (transposing == .right ? j * k + l : l * n + j)] }
      }
    }
    return epilogue.reference(c, inputs[5...]) { c, bias in
      HostTensor(c.type, c.data.indices.map { c[$0] + bias[expert(of: $0 / n) * n + $0 % n] })
    }
  }

  package static let cases: [OpCase] = {
    let bias = Epilogue(bias: true)
    let gelu = Epilogue(bias: true, keepsPre: true, activation: .gelu)
    let derivative = Epilogue(activation: .geluDerivative)
    return [
      grouped("one row", .right, .left, tokens: 1, k: 1, experts: 1, from: 1, to: 1),
      grouped("odd", .right, .left, tokens: 21, k: 2, experts: 5, from: 7, to: 5, bias),
      grouped("odd", .none, .left, tokens: 13, k: 3, experts: 4, from: 5, to: 9),
      grouped("whole vectors", .right, .left, tokens: 43, k: 2, experts: 4, from: 16, to: 40, bias),
      grouped("whole vectors", .none, .neither, tokens: 50, k: 1, experts: 3, from: 20, to: 72, bias),
      grouped("many experts", .right, .neither, tokens: 40, k: 2, experts: 64, from: 8, to: 4),
      grouped("bias, gelu", .right, .left, tokens: 43, k: 2, experts: 4, from: 16, to: 40, gelu),
      grouped("gelu'", .none, .neither, tokens: 70, k: 1, experts: 3, from: 12, to: 36, derivative),
      grouped("weight gradient", .left, .left, tokens: 43, k: 2, experts: 4, from: 20, to: 72),
      grouped("weight gradient", .left, .right, tokens: 43, k: 2, experts: 5, from: 36, to: 136),
      grouped("weight gradient", .left, .neither, tokens: 70, k: 1, experts: 3, from: 12, to: 184),
      grouped("lane stores", .right, .left, tokens: 150, k: 2, experts: 4, from: 32, to: 248, gelu),
      grouped("lane stores", .left, .left, tokens: 60, k: 2, experts: 5, from: 60, to: 248),
      grouped("odd weight gradient", .left, .neither, tokens: 21, k: 1, experts: 3, from: 5, to: 7),
    ]
  }()

  private static func grouped(
    _ name: String, _ form: Transposition, _ gathered: Gathered, tokens: Int, k: Int, experts: Int, from: Int, to: Int,
    _ epilogue: Epilogue = Epilogue()
  ) -> OpCase {
    // Two experts get nothing where there are three or more.
    let used = max(1, experts - 2)
    let picks = (0..<tokens * k).map { Double(($0 * $0 / 3 + $0 / k) % used) }
    let routed = Route(experts: experts).reference([HostTensor(TensorType([tokens, k], .u32), picks)])
    let slots = tokens * k
    let c = OpCase.Input([slots, to])
    let right: Shape = form == .right ? [experts, to, from] : [experts, from, to]
    return OpCase(
      "\(form) \(gathered) \(slots)x\(to)x\(from), \(name)",
      GroupedMatmul(transposing: form, gathered: gathered, epilogue: epilogue),
      [
        .init([gathered == .left ? tokens : slots, from]),
        .init(form == .left ? [gathered == .right ? tokens : slots, to] : right),
      ]
        + routed.map { .init($0.shape, .u32, .values($0.data)) } + (epilogue.bias ? [.init([experts, to])] : [])
        + (epilogue.activation == .geluDerivative ? [c] : []),
      tolerance: 1e-4, checksGradient: form != .left && epilogue.activation == .none)
  }
}

extension Value {
  /// One product per expert over rows sorted by `routing`: tokens [..., K] if `gathering`, else rows [S, K], times
  /// weights [E, K, N], or [E, N, K] `transposing: .right`, plus bias [E, N] -> [S, N].
  package func groupedMatmul(
    _ weights: Value, bias: Value? = nil, transposing: Transposition = .none, routing: Routing, gathering: Bool
  ) throws(ShapeError) -> Value {
    let op = GroupedMatmul(
      transposing: transposing, gathered: gathering ? .left : .neither, epilogue: Epilogue(bias: bias != nil))
    return try graph.apply(
      op, to: [self, weights, routing.offsets, routing.entries, routing.slots] + (bias.map { [$0] } ?? []))[0]
  }
}
