import Graph
import Ops

/// Image -> patches -> linear -> class token in front -> positions added. (B, channels, S, S) -> (B, T, C).
package struct PatchEmbedding: Sendable {
  /// What the pixels of byte images are normalised with: (x / 255 - mean) / std, per channel.
  package struct Normalization: Sendable, Hashable {
    package let mean: [Float]
    package let std: [Float]

    package init(mean: [Float], std: [Float]) {
      self.mean = mean
      self.std = std
    }
  }

  let weight: Parameter  // (C, channels P P)
  let bias: Parameter
  let classToken: Parameter
  let positions: Parameter
  let patch: Int
  let normalization: Normalization

  /// - Parameters:
  ///   - root: the scope of the model: the reference keeps `cls_token` and `pos_embed` outside its stages.
  package init(
    _ scope: Scope, root: Scope, imageSize: Int, channels: Int, patch: Int, features: Int,
    normalization: Normalization
  ) {
    let grid = imageSize / patch
    let fanIn = channels * patch * patch
    let bound = 1 / Double(fanIn).squareRoot()  // torch's default for a convolution
    classToken = root.parameter("cls_token", [1, 1, features], .normal(0.02))
    positions = root.parameter("pos_embed", [1, grid * grid + 1, features], .normal(0.02))
    weight = scope.parameter(
      "patch_embed.proj.weight", [features, fanIn], storedAs: [features, channels, patch, patch], .uniform(bound))
    bias = scope.parameter("patch_embed.proj.bias", [features], .uniform(bound))
    self.patch = patch
    self.normalization = normalization
  }

  package func callAsFunction(_ image: Value, _ forward: Forward) throws(ShapeError) -> Value {
    let patches = try image.patchify(patch: patch, mean: normalization.mean, std: normalization.std)
    let embedded = try patches.matmul(forward(weight), transposing: .right).addBias(forward(bias))
    return try assembleTokens(patches: embedded, cls: forward(classToken), pos: forward(positions))
  }
}
