/// Extents of a tensor, outermost axis first; storage is dense and row-major.
package struct Shape: Sendable, Hashable, ExpressibleByArrayLiteral, CustomStringConvertible {
  package var extents: [Int]

  package init(_ extents: [Int]) { self.extents = extents }
  package init(arrayLiteral elements: Int...) { extents = elements }

  package var rank: Int { extents.count }
  package var count: Int { extents.reduce(1, *) }
  /// Extent of the last axis; 1 for a scalar.
  package var last: Int { extents.last ?? 1 }
  /// Product of all axes but the last: the number of rows when the tensor is read as a matrix.
  package var rows: Int { extents.dropLast().reduce(1, *) }

  package subscript(axis: Int) -> Int { extents[axis < 0 ? rank + axis : axis] }

  package func replacingLast(with extent: Int) -> Shape { Shape(extents.dropLast() + [extent]) }
  package var description: String { "[" + extents.map(String.init).joined(separator: ", ") + "]" }
}

/// Element types that tensors are stored in.
package enum DType: String, Sendable, Hashable {
  case f32, u32, u8

  package var bytes: Int { self == .u8 ? 1 : 4 }
}

package struct TensorType: Sendable, Hashable, CustomStringConvertible {
  package var shape: Shape
  package var dtype: DType

  package init(_ shape: Shape, _ dtype: DType = .f32) {
    self.shape = shape
    self.dtype = dtype
  }

  package var count: Int { shape.count }
  /// Bytes of the elements, rounded up to whole 16-byte vectors: kernels may read and write that padding.
  package var bytes: Int { (count * dtype.bytes + 15) / 16 * 16 }
  package var description: String { dtype == .f32 ? shape.description : "\(dtype.rawValue)\(shape)" }
}

/// Tensors that do not fit an op, with the shapes that were given.
package struct ShapeError: Error, Sendable, CustomStringConvertible {
  package let op: String
  package let inputs: [TensorType]
  package let reason: String

  package init(op: String, inputs: [TensorType], reason: String) {
    self.op = op
    self.inputs = inputs
    self.reason = reason
  }

  package var description: String {
    "\(op)(\(inputs.map(\.description).joined(separator: ", "))): \(reason)"
  }
}
