import Graph

/// The gradients of a parameter block, side by side like its parameters: what the inputs of optimisers share. First the tensors as
/// long as the block, then status u32 [4], the table u32 [count / 64] and the step state u32 [8], then the gradients.
struct BlockGradients {
  /// Elements in the block.
  let count: Int
  /// First element of each gradient's parameter.
  let offsets: [Int]
  /// Tensors as long as the block.
  let tensors: Int

  /// The first gradient's place among the inputs.
  private var first: Int { tensors + 3 }
  var colocated: Colocation { Colocation(first: first, offsets: offsets.map { 4 * $0 }, bytes: 4 * count) }

  /// Why an optimiser cannot take the inputs, or nil.
  func misfit(_ inputs: [TensorType]) -> String? {
    guard inputs.count == first + offsets.count, count > 0, count % AdamW.chunk == 0 else {
      return "\(first) tensors and \(offsets.count) gradients; \(count) elements, a multiple of \(AdamW.chunk)"
    }
    let words = [4, count / AdamW.chunk, 8].map { TensorType([$0], .u32) }
    let expected = Array(repeating: TensorType([count]), count: tensors) + words
    guard Array(inputs.prefix(first)) == expected else { return "block tensors are \(expected)" }
    for (offset, gradient) in zip(offsets, inputs[first...]) {
      guard gradient.dtype == .f32, offset % AdamW.chunk == 0, offset + gradient.count <= count else {
        return "gradient \(gradient) at element \(offset) of \(count)"
      }
    }
    return nil
  }
}

// MARK: Cases

extension BlockGradients {
  /// For a case with parameters of these shapes, with a gap in front and one behind; matrices decay.
  init(placing shapes: [Shape], tensors: Int) {
    var offsets: [Int] = []
    var count = AdamW.chunk
    for shape in shapes {
      offsets.append(count)
      count += (shape.count + AdamW.chunk - 1) / AdamW.chunk * AdamW.chunk
    }
    self.init(count: count + AdamW.chunk, offsets: offsets, tensors: tensors)
  }

  /// The inputs of such a case.
  func inputs(
    _ fills: [OpCase.Fill], halted: Bool, state: [Double], gradient: OpCase.Fill, _ shapes: [Shape]
  ) -> [OpCase.Input] {
    let table = AdamW.table(
      count: count, offsets: offsets, counts: shapes.map(\.count), decays: shapes.map { $0.rank > 1 })
    return fills.map { .init([count], .f32, $0) } + [
      .init([4], .u32, .values([halted ? 1 : 0, 0, 0, 0])), .init(table.shape, .u32, .values(table.data)),
      .init([8], .u32, .values(state)),
    ] + shapes.map { .init($0, .f32, gradient) }
  }
}
