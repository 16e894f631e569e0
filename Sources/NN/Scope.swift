import Graph
import Random

/// How a parameter starts.
package enum Initializer: Sendable, Hashable {
  case zeros, ones
  case constant(Double)
  /// Normal with this standard deviation.
  case normal(Double)
  /// Uniform in [-bound, bound).
  case uniform(Double)
}

/// The parameters of one trained unit, in the order of their construction, and how they start.
package struct ParameterLayout: Sendable {
  package struct Entry: Sendable {
    package let parameter: Parameter
    package let initializer: Initializer
  }

  /// Name of the block of device memory that holds all of them.
  package let block: String
  package let entries: [Entry]
  /// Elements of the block, padding included.
  package let count: Int

  package var parameters: [Parameter] { entries.map(\.parameter) }
  /// Elements without padding.
  package var elements: Int { entries.reduce(0) { $0 + $1.parameter.shape.count } }

  /// The starting values. Each stored tensor has its own stream, keyed by seed, `stream` and name, so adding, removing or
  /// reordering modules changes no other tensor.
  package func initialValues(seed: UInt64, stream: String) -> [Float] {
    var values = [Float](repeating: 0, count: count)
    for entry in entries {
      for part in entry.parameter.parts {
        var random = CounterRandom(seed: seed, stream: "init \(stream) \(part.name)")
        for i in part.range {
          switch entry.initializer {
          case .zeros: break
          case .ones: values[i] = 1
          case .constant(let value): values[i] = Float(value)
          case .normal(let deviation): values[i] = Float(deviation * random.normal())
          case .uniform(let bound): values[i] = Float(bound * (2 * random.uniform() - 1))
          }
        }
      }
    }
    return values
  }
}

extension Parameter {
  /// The tensors that checkpoints store for this parameter: itself, or one per index of axis 0 where the name has a `*`.
  package var parts: [(name: String, shape: Shape, range: Range<Int>)] {
    guard let star = name.firstIndex(of: "*") else { return [(name, storedShape, offset..<offset + shape.count)] }
    let part = Shape([1] + shape.extents.dropFirst())
    return (0..<shape[0]).map { i in
      let start = offset + i * part.count
      return (name.replacingCharacters(in: star...star, with: String(i)), part, start..<start + part.count)
    }
  }
}

/// Collects the parameters of one trained unit while its modules are constructed.
package final class ParameterBuilder {
  private let block: String
  private var entries: [ParameterLayout.Entry] = []
  private var count = 0

  package init(block: String) { self.block = block }

  package var root: Scope { Scope(builder: self, prefix: "") }
  package var layout: ParameterLayout { ParameterLayout(block: block, entries: entries, count: count) }

  fileprivate func add(_ name: String, _ shape: Shape, storedAs: Shape?, _ initializer: Initializer) -> Parameter {
    precondition(!entries.contains { $0.parameter.name == name }, "two parameters named \(name)")
    let parameter = Parameter(name: name, shape: shape, storedAs: storedAs, block: block, offset: count)
    entries.append(.init(parameter: parameter, initializer: initializer))
    let step = Parameter.alignment
    count += (shape.count + step - 1) / step * step
    return parameter
  }
}

/// A place in the tree of names: `scope("blocks.3")("mlp").parameter("weight", …)` is `blocks.3.mlp.weight`.
package struct Scope {
  fileprivate let builder: ParameterBuilder
  fileprivate let prefix: String

  package func callAsFunction(_ name: String) -> Scope { Scope(builder: builder, prefix: prefix + name + ".") }

  package func parameter(
    _ name: String, _ shape: Shape, storedAs: Shape? = nil, _ initializer: Initializer
  ) -> Parameter {
    builder.add(prefix + name, shape, storedAs: storedAs, initializer)
  }
}
