import Graph
import Models
import NN
import Testing

@Suite struct CircuitTests {
  private let width = CircuitWidth(state: 8, code: 5, heads: 2, headDimension: 3, capacity: 2)
  private let settings = CircuitSettings(inputs: 2, mediators: 4, outputs: 3, signature: 4, iterations: 2)
  private let images = CircuitImages(size: 16, channels: 1, gridFeatures: 3, normalization: .init(mean: [], std: []))

  private func circuit(classes: Int = 10) -> NeuralCircuit {
    NeuralCircuit(block: "circuit", width: width, settings: settings, images: images, classes: classes)
  }

  /// Everything but codes, signatures, seeder and bandwidths comes from the student of its place, where it has the same shape.
  @Test func assembly() throws {
    let circuit = circuit()
    let kinds: [CircuitStudent.Kind] = [.readIn, .mediator, .mediator, .readOut]
    let students = kinds.enumerated().map { i, kind in
      CircuitStudent(block: "student.\(i)", kind: kind, width: width, stitch: 6, images: images, classes: 10).layout
    }
    var fresh: Set<String> = []
    var taken: [Set<String>] = kinds.map { _ in [] }
    for parameter in circuit.layout.parameters {
      guard let part = circuit.part(of: parameter.name, keepsGrid: true, keepsPooling: true) else {
        fresh.insert(parameter.name)
        continue
      }
      let student: Int
      switch parameter.name {
      case let name where name.hasPrefix("input_tokenizer") || name.contains("read_in."): student = 0
      case let name where name.contains("propagators.0."): student = 1
      case let name where name.contains("propagators.1."): student = 2
      default: student = 3
      }
      #expect(part.module == student, "\(parameter.name)")
      let source = try #require(students[student].parameters.first { $0.name == part.name }, "\(parameter.name)")
      #expect(source.storedShape == parameter.storedShape, "\(parameter.name)")
      #expect(taken[student].insert(part.name).inserted, "\(part.name) goes to two places")
    }
    let seeder = ["layernorm", "code_to_state_mu", "code_to_state_logvar"].flatMap { layer in
      ["weight", "bias"].map { "latent_graphs.0.latent_seeder.\(layer).\($0)" }
    }
    let latents = ["input", "mediator", "output"].flatMap { kind in
      ["codes_", "signatures_"].map { "latent_graphs.0.\(kind)_latents.\($0)" }
    }
    let bandwidths = ["propagators.0", "propagators.1", "read_out"].map {
      "latent_graphs.0.\($0).latent_attention.kernel.bandwidth"
    }
    #expect(fresh == Set(seeder + latents + bandwidths))
    for (student, taken) in zip(students, taken) {
      let left = student.parameters.map(\.name).filter { !taken.contains($0) }
      #expect(left.allSatisfy { $0.contains("_stitch.") }, "\(left)")
    }
  }

  @Test func otherImagesAndClasses() {
    let circuit = circuit(classes: 4)
    let fresh = circuit.layout.parameters.map(\.name).filter {
      circuit.part(of: $0, keepsGrid: false, keepsPooling: false) == nil
        && circuit.part(of: $0, keepsGrid: true, keepsPooling: true) != nil
    }
    #expect(
      Set(fresh) == [
        "input_tokenizer.positional_grid.grid", "output_tokenizer.confidence_scorer.weight",
        "output_tokenizer.confidence_scorer.bias", "output_tokenizer.to_logits.weight",
        "output_tokenizer.to_logits.bias",
      ])
  }
}
