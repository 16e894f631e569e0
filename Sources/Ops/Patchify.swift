import Graph
import Kernels

/// Cuts images into square patches: image [B, Ch, H, W] -> [B, (H/P) (W/P), Ch P P].
///
/// Patches are in row-major order and elements in the order (channel, y, x), that of a convolution weight [D, Ch, P, P]
/// read as [D, Ch P P]. Bytes become (x / 255 - mean) / std of their channel; f32 images are not normalised. Not
/// differentiable.
package struct Patchify: Op {
  package static let name = "patchify"
  let patch: Int
  let mean: [Float]
  let std: [Float]

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    let (shape, dtype) = (inputs[0].shape, inputs[0].dtype)
    guard shape.rank == 4 else { throw mismatch(inputs, "the image is not [B, Ch, H, W]") }
    guard shape[2] % patch == 0, shape[3] % patch == 0 else {
      throw mismatch(inputs, "height or width is no multiple of the patch, \(patch)")
    }
    switch dtype {
    case .f32: break
    case .u8:
      guard shape[1] <= 4, mean.count == shape[1], std.count == shape[1] else {
        throw mismatch(inputs, "\(mean.count) means and \(std.count) deviations given for channels (at most 4)")
      }
    case .u32: throw mismatch(inputs, "images are u8 or f32")
    }
    return [TensorType([shape[0], shape[2] / patch * (shape[3] / patch), shape[1] * patch * patch])]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let shape = site.inputs[0].shape
    let isBytes = site.inputs[0].dtype == .u8
    let count = site.outputs[0].count
    var (scale, offset) = (SIMD4<Float>(repeating: 1), SIMD4<Float>(repeating: 0))
    if isBytes {
      for c in 0..<shape[1] { (scale[c], offset[c]) = (1 / (255 * std[c]), -mean[c] / std[c]) }
    }
    return Launch([
      Dispatch(
        PatchifyKernel.self,
        constants: .init(
          CHANNELS: UInt32(shape[1]), HEIGHT: UInt32(shape[2]), WIDTH: UInt32(shape[3]), PATCH: UInt32(patch),
          BYTES: isBytes),
        push: .init(scale: scale, offset: offset, count: UInt32(count)),
        [.input(0).texels(.r32ui), .output(0)], groups: .linear((count + 3) / 4, perGroup: 64))
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] { [nil] }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let image = inputs[0]
    let (channels, height, width) = (image.shape[1], image.shape[2], image.shape[3])
    var patches: [Double] = []
    for b in 0..<image.shape[0] {
      for top in stride(from: 0, to: height, by: patch) {
        for left in stride(from: 0, to: width, by: patch) {
          for c in 0..<channels {
            for y in top..<top + patch {
              for x in left..<left + patch {
                let pixel = image[((b * channels + c) * height + y) * width + x]
                patches.append(image.type.dtype == .u8 ? (pixel / 255 - Double(mean[c])) / Double(std[c]) : pixel)
              }
            }
          }
        }
      }
    }
    let shape: Shape = [image.shape[0], height / patch * (width / patch), channels * patch * patch]
    return [HostTensor(shape, patches)]
  }

  package static let cases = [
    OpCase(
      "bytes", Patchify(patch: 7, mean: [0.1307], std: [0.3081]), [.init([3, 1, 28, 28], .u8, .integers(below: 256))],
      checksGradient: false),
    OpCase(
      "colour bytes", Patchify(patch: 4, mean: [0.5, 0.4, 0.3], std: [0.2, 0.3, 0.4]),
      [.init([2, 3, 8, 12], .u8, .integers(below: 256))], checksGradient: false),
    OpCase(
      "odd bytes", Patchify(patch: 3, mean: [0.5, 0.4], std: [0.2, 0.3]),
      [.init([1, 2, 3, 9], .u8, .integers(below: 256))], checksGradient: false),
    OpCase("floats", Patchify(patch: 7, mean: [], std: []), [.init([2, 5, 14, 7])], checksGradient: false),
  ]
}

extension Value {
  /// [B, Ch, H, W] -> [B, (H/P) (W/P), Ch P P]; bytes are normalised by `mean` and `std` of their channel.
  package func patchify(patch: Int, mean: [Float], std: [Float]) throws(ShapeError) -> Value {
    try graph.apply(Patchify(patch: patch, mean: mean, std: std), to: [self])[0]
  }
}
