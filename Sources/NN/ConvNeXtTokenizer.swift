import Graph
import Ops

/// The first stages of a ConvNeXt (Liu et al. 2022), and learned features of each position behind those of its token:
/// image (B, channels, S, S) -> (B, (S/8)^2, C + grid). Maps keep their channels last.
package struct ConvNeXtTokenizer: Sendable {
  private let stem: Linear
  private let stemNorm: LayerNorm
  private let stages: [[ConvNeXtBlock]]
  private let reductionNorm: LayerNorm
  private let reduction: Linear
  private let grid: Parameter
  private let normalization: PatchEmbedding.Normalization
  /// Features of a token.
  package let features: Int

  /// - Parameters:
  ///   - representation: the stages have a quarter and a half as many channels.
  ///   - positions: tokens along one side of the image.
  package init(
    _ scope: Scope, channels: Int, representation: Int, gridFeatures: Int, positions: Int,
    normalization: PatchEmbedding.Normalization
  ) {
    let backbone = scope("backbone")
    let widths = [representation / 4, representation / 2]
    let weights = Initializer.normal(0.02)
    let layers = backbone("downsample_layers")
    stem = Linear(
      layers("0")("0"), from: channels * 16, to: widths[0], weights: weights, storedAs: [widths[0], channels, 4, 4])
    stemNorm = LayerNorm(layers("0")("1"), widths[0], eps: 1e-6)
    reductionNorm = LayerNorm(layers("1")("0"), widths[0], eps: 1e-6)
    reduction = Linear(
      layers("1")("1"), from: widths[0] * 4, to: widths[1], weights: weights, storedAs: [widths[1], widths[0], 2, 2])
    stages = widths.enumerated().map { i, width in
      (0..<3).map { ConvNeXtBlock(backbone("stages")("\(i)")("\($0)"), channels: width, weights: weights) }
    }
    grid = scope("positional_grid").parameter(
      "grid", [gridFeatures, positions * positions], storedAs: [gridFeatures, positions, positions], .normal(1))
    features = widths[1] + gridFeatures
    self.normalization = normalization
  }

  package func callAsFunction(_ image: Value, _ forward: Forward) throws(ShapeError) -> Value {
    let patches = try image.patchify(patch: 4, mean: normalization.mean, std: normalization.std)
    let map = try patches.reshaped([image.shape[0], image.shape[2] / 4, image.shape[3] / 4, patches.shape.last])
    var x = try stemNorm(stem(map, forward), forward)
    for block in stages[0] { x = try block(x, forward) }
    x = try reduction(reductionNorm(x, forward).spaceToDepth(2), forward)
    for block in stages[1] { x = try block(x, forward) }
    return try x.appendingGrid(forward(grid))
  }
}

/// x + gamma * fc2(GELU(fc1(LN(7 x 7 depthwise convolution of x)))).
struct ConvNeXtBlock: Sendable {
  private let weight: Parameter  // (C, 49)
  private let bias: Parameter
  private let norm: LayerNorm
  private let fc1: Linear
  private let fc2: Linear
  private let gamma: Parameter

  init(_ scope: Scope, channels: Int, weights: Initializer) {
    weight = scope("dwconv").parameter("weight", [channels, 49], storedAs: [channels, 1, 7, 7], weights)
    bias = scope("dwconv").parameter("bias", [channels], .zeros)
    norm = LayerNorm(scope("norm"), channels, eps: 1e-6)
    fc1 = Linear(scope("pwconv1"), from: channels, to: 4 * channels, weights: weights)
    fc2 = Linear(scope("pwconv2"), from: 4 * channels, to: channels, weights: weights)
    gamma = scope.parameter("gamma", [channels], .constant(1e-6))
  }

  func callAsFunction(_ x: Value, _ forward: Forward) throws(ShapeError) -> Value {
    let mixed = try x.depthwiseConvolution(forward(weight)).addBias(forward(bias))
    let fed = try fc2(fc1(norm(mixed, forward), forward).gelu(), forward)
    return try x + fed.scaledColumns(by: forward(gamma))
  }
}
