import Models
import NN
import Priors

extension AttentiveCircuit {
  /// Reads the section `student` of a recipe whose student is a circuit.
  init(
    _ reader: RecipeReader, modules: Int, stitch: Int, taught: ImageTask, target: ImageTask
  ) throws(RecipeError) {
    guard modules >= 3 else {
      throw reader.error(
        "kind", "a circuit is a read-in, mediators and a read-out, at least 3 modules; the meta model has \(modules)")
    }
    for task in [taught, target] where task.size % 8 != 0 {
      throw reader.error(
        "kind",
        "a circuit's grid has one position for each 8 x 8 pixels, which does not divide images of \(task.size) x "
          + "\(task.size); use images of \((task.size + 7) / 8 * 8)")
    }
    self.stitch = stitch
    self.taught = taught
    self.target = target
    width = CircuitWidth(
      state: try reader.int("state", in: 4...65_536), code: try reader.int("code", in: 1...65_536),
      heads: try reader.int("heads", in: 1...1024), headDimension: try reader.int("head_features", in: 1...1024),
      capacity: try reader.double("capacity", 2, in: 0.1...64), layerScale: try reader.double("layer_scale", 0.1))
    gridFeatures = try reader.int("grid_features", 64, in: 1...65_536)
    let settings = CircuitSettings(
      inputs: try reader.int("inputs", in: 1...65_536), mediators: try reader.int("mediators", in: 2...65_536),
      outputs: try reader.int("outputs", in: 1...65_536), signature: try reader.int("signature", 64, in: 1...65_536),
      iterations: modules - 2, truncation: try reader.double("truncation", 0.9, in: 0...2),
      temperature: try reader.double("temperature", 0.5, in: 1e-3...1e3),
      codeNoise: try reader.double("code_noise", 0.05, in: 0...1))
    self.settings = settings
    prior = try reader.section("prior") { (prior) throws(RecipeError) in try Prior(prior, settings) }
    regularizer = try reader.section("regularizer") { (r) throws(RecipeError) in try Regularizer(r, settings) }
  }
}

extension AttentiveCircuit.Prior {
  private enum Kind: String, CaseIterable {
    case none
    case scaleFree = "scale-free"
    case plantedPartition = "planted-partition"
    case ringOfCliques = "ring-of-cliques"
    case erdosRenyi = "erdos-renyi"
  }

  fileprivate init?(_ reader: RecipeReader, _ settings: CircuitSettings) throws(RecipeError) {
    switch try reader.choice("graph", Kind.none) {
    case .none: return nil
    case .scaleFree: graph = .scaleFree(attachments: try reader.int("attachments", 2))
    case .plantedPartition:
      graph = .plantedPartition(
        groups: try reader.int("groups"), size: try reader.int("size"), inside: try reader.double("inside", 0.9),
        across: try reader.double("across", 0.2))
    case .ringOfCliques: graph = .ringOfCliques(cliques: try reader.int("cliques"), size: try reader.int("size"))
    case .erdosRenyi: graph = .erdosRenyi(probability: try reader.double("probability", 0.1))
    }
    do throws(PriorError) {
      _ = try graph.graph(latents: settings.mediators, seed: 0)
    } catch {
      throw reader.error("graph", error.reason)
    }
    truncation = try reader.double("truncation", 0.8, in: 0...2)
    steps = try reader.int("steps", 1000)
  }
}

extension AttentiveCircuit.Regularizer {
  private enum Kind: String, CaseIterable {
    case none, hinge
    case blockModel = "block-model"
  }

  fileprivate init(_ reader: RecipeReader, _ settings: CircuitSettings) throws(RecipeError) {
    switch try reader.choice("kind", Kind.none) {
    case .none: self = .none
    case .hinge:
      self = .hinge(try reader.double("hinge", 0.4, in: 0...2), weight: try reader.double("weight", 0.1))
    case .blockModel:
      let clusters = try reader.int("clusters", 8, in: 1...settings.mediators)
      guard settings.mediators % clusters == 0 else {
        throw reader.error(
          "clusters", "\(clusters) clusters do not divide the circuit's \(settings.mediators) mediators")
      }
      self = .blockModel(
        .init(
          blocks: clusters, inside: try reader.double("inside", 0.9, in: 0...1),
          across: try reader.double("across", 0.2, in: 0...1)),
        weight: try reader.double("weight", 1))
    }
  }
}
