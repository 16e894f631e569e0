/// A tensor on the host in Double: what the reference meaning of an op reads and writes. Integers are held exactly.
package struct HostTensor: Sendable, Hashable {
  package var type: TensorType
  package var data: [Double]

  package init(_ type: TensorType, _ data: [Double]) {
    precondition(data.count == type.count, "\(type) holds \(type.count) elements, not \(data.count)")
    self.type = type
    self.data = data
  }

  package init(_ shape: Shape, _ data: [Double]) { self.init(TensorType(shape), data) }

  package init(zeros type: TensorType) { self.init(type, Array(repeating: 0, count: type.count)) }

  package var shape: Shape { type.shape }
  package subscript(i: Int) -> Double {
    get { data[i] }
    set { data[i] = newValue }
  }

  package func map(_ f: (Double) -> Double) -> HostTensor { HostTensor(type, data.map(f)) }
}
