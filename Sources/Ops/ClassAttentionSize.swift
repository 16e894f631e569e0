import GPU
import Graph
import Kernels

/// The extents of one query's attention, and the dispatches it is made of (`ClassAttention`).
struct ClassAttentionSize: CustomStringConvertible {
  /// Which C rows of the weights.
  enum Part: Int { case q, k, v }

  /// Rows of a product: where the row of sample b and head h starts.
  enum Rows {
    /// The first token of x [B, T, I], the same for all heads.
    case token(Operand)
    /// A head's part of [B, C].
    case heads(Operand)
    /// A head's row of [B, H, I].
    case pooled(Operand)
    /// The whole row of [B, C].
    case rows(Operand)
  }

  let batch: Int
  let tokens: Int
  /// Channels of x.
  let width: Int
  let heads: Int
  let headDimension: Int

  init(batch: Int, tokens: Int, width: Int, heads: Int, headDimension: Int) {
    self.batch = batch
    self.tokens = tokens
    self.width = width
    self.heads = heads
    self.headDimension = headDimension
  }

  init(_ x: Shape, _ weights: Shape, heads: Int) {
    self.init(batch: x[0], tokens: x[1], width: x[2], heads: heads, headDimension: weights[0] / 3 / heads)
  }

  var channels: Int { heads * headDimension }
  var scale: Double { 1 / Double(headDimension).squareRoot() }
  var description: String { "B\(batch) T\(tokens) I\(width) H\(heads) D\(headDimension)" }

  var x: Shape { [batch, tokens, width] }
  var weights: Shape { [3 * channels, width] }
  var query: TensorType { TensorType([batch, channels]) }
  var pooled: TensorType { TensorType([batch, heads, width]) }
  var scores: TensorType { TensorType([batch, heads, tokens]) }
  var statistics: TensorType { TensorType([batch, heads]) }

  /// Of one product with C rows of the weights, and of one pass over the tokens.
  var productFlops: Int { 2 * batch * channels * width }
  var passFlops: Int { 2 * batch * heads * tokens * width }

  private var isAligned: Bool { (width | headDimension) % 4 == 0 }
  private var vectors: Int { isAligned ? width / 4 : width }

  /// Elements that a kernel without loops may read, each by a load of its own: the driver's compiler takes two seconds for as many, and
  /// 40 for four times as many.
  private static let longestCode = 3200

  /// Lanes of a subgroup where the passes over tokens take their wide forms: straight-line code that reads by address and stores spans.
  /// - Parameter parts: one a subgroup.
  private func wideLanes(_ parts: Int, _ traits: DeviceTraits) -> Int? {
    traits.storesWide && width % 8 == 0 && parts <= Dispatch.wideParts ? traits.subgroupSize : nil
  }

  private func texels(_ operand: Operand) -> Operand { operand.texels(isAligned ? .rgba32f : .r32f) }

  /// `rows` times a part of the weights: transposed where the rows are as wide as x, so that C or D columns come out.
  func product(
    _ rows: Rows, weights: Operand, rows part: Part, bias: Operand? = nil, to y: Operand, _ traits: DeviceTraits
  ) -> Dispatch {
    let (a, strides, count) = place(rows)
    let transposed: Bool
    switch rows {
    case .token, .pooled: transposed = true
    case .heads, .rows: transposed = false
    }
    let outer = channels / count
    let (k, n) = transposed ? (width, outer) : (outer, width)
    let perLane = traits.isSoftware ? 4 : 1
    let lanes = (batch + perLane - 1) / perLane * count * (isAligned ? n / 4 : n)
    // u and dq carry the scale of the scores.
    let factor = part == .k ? Float(scale) : 1
    return Dispatch(
      ClassProductKernel.self,
      constants: .init(ALIGNED: isAligned, TRANSPOSED: transposed, HAS_BIAS: bias != nil, ROWS: UInt32(perLane)),
      push: .init(
        B: UInt32(batch), H: UInt32(count), K: UInt32(k), N: UInt32(n), a_batch: UInt32(strides.batch),
        a_head: UInt32(strides.head), first_row: UInt32(part.rawValue * channels), w_columns: UInt32(width),
        scale: factor),
      [texels(a), texels(weights), bias.map(texels) ?? .unused, y], groups: .linear(lanes, perGroup: 64))
  }

  /// The operand, the elements between its samples and heads, and how many heads it has.
  private func place(_ rows: Rows) -> (Operand, strides: (batch: Int, head: Int), count: Int) {
    switch rows {
    case .token(let x): (x, (tokens * width, 0), 1)
    case .heads(let q): (q, (channels, headDimension), heads)
    case .pooled(let z): (z, (heads * width, width), heads)
    case .rows(let q): (q, (channels, 0), 1)
    }
  }

  /// Scores of u and their logsumexp; with `given` scores and logsumexp, the products of u = dz with x and their mean.
  func scores(
    _ x: Operand, _ u: Operand, given: (s: Operand, logsumexp: Operand)? = nil, to scores: Operand,
    _ statistic: Operand, _ traits: DeviceTraits
  ) -> Dispatch {
    // A lane reads u once for several tokens; too many leave lanes without one.
    let choices = traits.isSoftware ? 1...4 : 1...1
    let reads = choices.map { ($0 + 1) * ((tokens - 1) / (traits.cluster * $0) + 1) }
    let perLane = zip(choices, reads).min { $0.1 < $1.1 }?.0 ?? 1
    let lanes = tokens * width <= Self.longestCode ? wideLanes(batch * heads, traits) : nil
    let cluster = lanes ?? traits.cluster
    return Dispatch(
      ClassScoresKernel.self,
      constants: .init(
        CLUSTER: UInt32(cluster), ALIGNED: isAligned, BACKWARD: given != nil, TOKENS: UInt32(perLane),
        T: UInt32(tokens), C: UInt32(width)),
      push: .init(pairs: UInt32(batch * heads), H: UInt32(heads)),
      [
        texels(x), texels(u), given?.s.texels(.r32f) ?? .unused, given?.logsumexp.texels(.r32f) ?? .unused, scores,
        statistic,
      ], groups: .linear(batch * heads * cluster, perGroup: 64), lanes: lanes)
  }

  /// The mean of x under the softmax of the scores; with a `gradient`, the sum under the gradients of the scores.
  func pool(
    _ x: Operand, scores: Operand, _ logsumexp: Operand, gradient: (dp: Operand, delta: Operand)? = nil,
    to z: Operand, _ traits: DeviceTraits
  ) -> Dispatch {
    // Of many tokens fewer columns.
    func clusters(_ columns: Int) -> Int { batch * heads * ((width + columns - 1) / columns) }
    let wide = [4, 2, 1].lazy.map { min(width, $0 * traits.subgroupSize) }
      .filter { $0 % 8 == 0 && tokens * $0 <= Self.longestCode }
      .compactMap { columns in wideLanes(clusters(columns), traits).map { (lanes: $0, columns: columns) } }.first
    let cluster = wide?.lanes ?? traits.exchange
    let columns = wide?.columns ?? cluster * (isAligned ? 4 : 1)
    return Dispatch(
      ClassPoolKernel.self,
      constants: .init(
        CLUSTER: UInt32(cluster), WHOLE_SUBGROUP: cluster == traits.subgroupSize, ALIGNED: isAligned,
        BACKWARD: gradient != nil, T: UInt32(tokens), C: UInt32(width), WIDTH: UInt32(columns)),
      push: .init(pairs: UInt32(batch * heads), H: UInt32(heads)),
      [
        texels(x), scores.texels(.r32f), logsumexp.texels(.r32f), gradient?.dp.texels(.r32f) ?? .unused,
        gradient?.delta.texels(.r32f) ?? .unused, z,
      ], groups: .linear(clusters(columns) * cluster, perGroup: 64), lanes: wide?.lanes)
  }

  /// The gradient of x: through values and scores, and `query` [B, I] at the first token.
  func tokens(
    _ dz: Operand, _ u: Operand, _ query: Operand, scores: Operand, _ logsumexp: Operand,
    gradient: (dp: Operand, delta: Operand), to dx: Operand, _ traits: DeviceTraits
  ) -> Dispatch {
    // Of each head two rows' columns are read, each by a load of its own.
    func clusters(of lanes: Int) -> Int { batch * ((tokens + lanes - 1) / lanes) * ((vectors + lanes - 1) / lanes) }
    let lanes = heads <= 16 ? wideLanes(clusters(of: traits.subgroupSize), traits) : nil
    let cluster = lanes ?? traits.exchange
    return Dispatch(
      ClassTokensBackwardKernel.self,
      constants: .init(
        CLUSTER: UInt32(cluster), WHOLE_SUBGROUP: cluster == traits.subgroupSize, ALIGNED: isAligned,
        T: UInt32(tokens), C: UInt32(width), H: UInt32(heads)),
      push: .init(B: UInt32(batch)),
      [
        texels(dz), texels(u), texels(query), scores.texels(.r32f), logsumexp.texels(.r32f),
        gradient.dp.texels(.r32f), gradient.delta.texels(.r32f), dx,
      ], groups: .linear(clusters(of: cluster) * cluster, perGroup: 64), lanes: lanes)
  }

  /// Rows of the weight gradient: left [B, C] times the rows `right`, summed over samples. Keys have no bias gradient.
  func weightGradient(
    _ part: Part, _ left: Operand, _ right: Rows, to dweights: Operand, _ dbias: Operand
  ) -> Dispatch {
    let (operand, strides, _) = place(right)
    let rows = isAligned ? channels / 4 : channels
    return Dispatch(
      ClassWeightGradientKernel.self, constants: .init(ALIGNED: isAligned, HAS_BIAS: part != .k),
      push: .init(
        B: UInt32(batch), H: UInt32(heads), D: UInt32(headDimension), columns: UInt32(vectors),
        right_batch: UInt32(strides.batch), right_head: UInt32(strides.head),
        first_row: UInt32(part.rawValue * channels), scale: part == .k ? Float(scale) : 1),
      [texels(left), texels(operand), dweights, dbias], groups: .linear(rows * vectors, perGroup: 64))
  }

  /// The demo's proportions, one token, odd numbers of everything, several clusters of tokens and columns.
  static let cases = [
    (3, 17, 64, 4, 16), (2, 1, 8, 2, 4), (1, 7, 12, 3, 12), (5, 23, 9, 2, 3), (2, 9, 5, 1, 2), (1, 5, 3, 3, 1),
    (9, 65, 36, 2, 8), (2, 23, 72, 2, 8),
  ].map { ClassAttentionSize(batch: $0.0, tokens: $0.1, width: $0.2, heads: $0.3, headDimension: $0.4) }
}
