/// A tensor that will exist when a plan of its graph has run.
package struct Value {
  package let id: Int
  package let type: TensorType
  package let graph: Graph

  package var shape: Shape { type.shape }
}

extension Value: Hashable {
  package static func == (a: Value, b: Value) -> Bool { a.id == b.id && a.graph === b.graph }
  package func hash(into hasher: inout Hasher) { hasher.combine(id) }
}

/// A named, persistent tensor of a module. Parameters live in blocks, one contiguous buffer each, so that an optimiser
/// updates all of a module in one dispatch.
package struct Parameter: Sendable, Hashable {
  /// The reference's name. A `*` stands for the index on axis 0: `moe.experts.*.htoh4.weight` of shape [E, F, C] is stored
  /// in checkpoints as E tensors of shape [1, F, C].
  package let name: String
  package let shape: Shape
  /// Its shape in checkpoints, of the same elements: a convolution weight [C, channels, P, P] is a matrix here.
  package let storedShape: Shape
  /// Name of the block that holds it.
  package let block: String
  /// First element within the block, a multiple of `Parameter.alignment`.
  package let offset: Int

  /// Elements between the starts of parameters: 256 bytes, the largest offset alignment a device may ask for.
  package static let alignment = 64

  package init(name: String, shape: Shape, storedAs storedShape: Shape? = nil, block: String, offset: Int) {
    precondition(storedShape.map { $0.count == shape.count } ?? true, "\(name): other elements are stored")
    self.name = name
    self.shape = shape
    self.storedShape = storedShape ?? shape
    self.block = block
    self.offset = offset
  }
}
