import Graph
import NN

/// A whole model that tells images apart, whatever it is made of.
package struct Classifier: Sendable {
  /// Where a parameter of an assembled model is stored: a module's number, and the name there.
  package struct Part: Sendable, Hashable {
    package let module: Int
    package let name: String

    package init(module: Int, name: String) {
      self.module = module
      self.name = name
    }
  }

  package let layout: ParameterLayout
  /// Images u8 (B, channels, S, S) -> logits (B, N).
  package let logits: @Sendable (Value, Forward) throws(ShapeError) -> Value
  /// Where the stored tensor of this name comes from when the model is assembled from modules; nil for what starts afresh.
  package let part: @Sendable (String) -> Part?

  package init(
    layout: ParameterLayout, part: @escaping @Sendable (String) -> Part?,
    logits: @escaping @Sendable (Value, Forward) throws(ShapeError) -> Value
  ) {
    self.layout = layout
    self.part = part
    self.logits = logits
  }
}

extension VisionTransformer {
  package var classifier: Classifier {
    Classifier(layout: layout, part: VisionTransformer.part) { (images, forward) throws(ShapeError) in
      try self(images, forward)
    }
  }

  /// Module i is the stage i; what belongs to no stage is the first module's.
  private static func part(of name: String) -> Classifier.Part {
    let parts = name.split(separator: ".", maxSplits: 2)
    guard parts.count == 3, parts[0] == "stages", let index = Int(parts[1]) else { return .init(module: 0, name: name) }
    return .init(module: index, name: "stages.0.\(parts[2])")
  }
}
