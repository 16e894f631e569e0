import Models
import NN
import Storage

/// Models and unfinished tasks as safetensors files, under the reference's tensor names.
package enum Checkpoint {
  private static let prefix = "graft."

  /// What a checkpoint says of itself.
  package struct Description: Sendable {
    package let block: String
    package let recipe: String
    package let seed: UInt64
    package let step: Int

    var metadata: [String: String] {
      [
        Checkpoint.prefix + "block": block, Checkpoint.prefix + "recipe": recipe,
        Checkpoint.prefix + "seed": String(seed), Checkpoint.prefix + "step": String(step),
      ]
    }

    init(block: String, recipe: String, seed: UInt64, step: Int) {
      self.block = block
      self.recipe = recipe
      self.seed = seed
      self.step = step
    }

    /// - Throws: if the file was not written by a run.
    package init(_ file: Safetensors) throws(RunError) {
      func entry(_ key: String) throws(RunError) -> String {
        guard let value = file.metadata[Checkpoint.prefix + key] else {
          throw RunError("\(file.path): not a checkpoint of a graft run (no metadata '\(Checkpoint.prefix)\(key)')")
        }
        return value
      }
      func number<T: LosslessStringConvertible>(_ key: String) throws(RunError) -> T {
        let text = try entry(key)
        guard let value = T(text) else { throw RunError("\(file.path): metadata \(key) is '\(text)', not a number") }
        return value
      }
      self.init(
        block: try entry("block"), recipe: try entry("recipe"), seed: try number("seed"), step: try number("step"))
    }
  }

  typealias Tensor = (name: String, shape: [Int], values: TensorBytes)

  /// The tensors of a layout, named with `prefix` in front.
  static func tensors(_ layout: ParameterLayout, _ values: [Float], prefix: String = "") -> [Tensor] {
    layout.parameters.flatMap(\.parts).map { part in
      (prefix + part.name, part.shape.extents, .floats(Array(values[part.range])))
    }
  }

  /// The values of a layout, read from tensors whose names `source` maps to a file and a name in it.
  /// - Parameter start: the values of what has no source; zeros if nil.
  static func values(
    _ layout: ParameterLayout, startingAt start: [Float]? = nil,
    from source: (String) throws(RunError) -> (file: Safetensors, name: String)?
  ) throws(RunError) -> [Float] {
    var values = start ?? [Float](repeating: 0, count: layout.count)
    for part in layout.parameters.flatMap(\.parts) {
      guard let (file, name) = try source(part.name) else { continue }
      guard let tensor = file.tensor(name) else {
        throw RunError("\(file.path): no tensor '\(name)', which \(layout.block) needs; is it of another recipe?")
      }
      guard tensor.shape == part.shape.extents else {
        throw RunError("\(file.path): '\(name)' is \(tensor.shape), but \(layout.block) has \(part.shape)")
      }
      let floats = try attempt { () throws(StorageError) in try file.floats(name) }
      values.replaceSubrange(part.range, with: floats)
    }
    return values
  }
}
