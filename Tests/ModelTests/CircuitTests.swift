import Graph
import Models
import NN
import Testing

@Suite struct CircuitTests {
  private let width = CircuitWidth(state: 8, code: 5, heads: 2, headDimension: 3, capacity: 2)
  private let settings = CircuitSettings(inputs: 2, mediators: 4, outputs: 3, signature: 4, iterations: 2)
  private let images = CircuitImages(size: 16, channels: 1, gridFeatures: 3, normalization: .init(mean: [], std: []))

  private func students(width: CircuitWidth, classes: Int) -> [(layout: ParameterLayout, values: [Float])] {
    let kinds: [CircuitStudent.Kind] = [.readIn, .mediator, .mediator, .readOut]
    return kinds.enumerated().map { i, kind in
      let layout = CircuitStudent(
        block: "student.\(i)", kind: kind, width: width, stitch: 6, images: images, classes: classes
      ).layout
      // Every number tells its student and place.
      return (layout, (0..<layout.count).map { Float(10_000 * (i + 1) + $0) })
    }
  }

  /// Everything but codes, signatures, seeder and bandwidths comes from the student of its place.
  @Test func assembly() throws {
    let circuit = NeuralCircuit(block: "circuit", width: width, settings: settings, images: images, classes: 10)
    var values = [Float](repeating: -1, count: circuit.layout.count)
    let students = students(width: width, classes: 10)
    try circuit.assemble(into: &values, from: students, keepsGrid: true, keepsPooling: true)
    var fresh: Set<String> = []
    for parameter in circuit.layout.parameters {
      let first = values[parameter.offset]
      if first < 0 {
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
      #expect(Int(first) / 10_000 == student + 1, "\(parameter.name)")
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
  }

  @Test func otherImagesAndClasses() throws {
    let circuit = NeuralCircuit(block: "circuit", width: width, settings: settings, images: images, classes: 4)
    var values = [Float](repeating: -1, count: circuit.layout.count)
    let students = students(width: width, classes: 10)
    try circuit.assemble(into: &values, from: students, keepsGrid: false, keepsPooling: false)
    for parameter in circuit.layout.parameters
    where parameter.name.hasPrefix("output_tokenizer") || parameter.name.contains("positional_grid") {
      #expect(values[parameter.offset] == -1, "\(parameter.name)")
    }
    let error = #expect(throws: CircuitAssemblyError.self) {
      try circuit.assemble(into: &values, from: students, keepsGrid: true, keepsPooling: true)
    }
    let text = error.map { "\($0)" } ?? ""
    #expect(text.contains("tokenizer.to_logits.weight has shape [10, 8]") && text.contains("[4, 8]"), "\(text)")
  }

  @Test func otherSizes() throws {
    let circuit = NeuralCircuit(block: "circuit", width: width, settings: settings, images: images, classes: 10)
    var values = [Float](repeating: -1, count: circuit.layout.count)
    var narrow = width
    narrow.code = 4
    let students = students(width: narrow, classes: 10)
    let error = #expect(throws: CircuitAssemblyError.self) {
      try circuit.assemble(into: &values, from: students, keepsGrid: true, keepsPooling: true)
    }
    let text = error.map { "\($0)" } ?? ""
    #expect(text.hasPrefix("student.0: ") && text.contains("[8, 4]") && text.contains("[8, 5]"), "\(text)")
    let missing = #expect(throws: CircuitAssemblyError.self) {
      try circuit.assemble(into: &values, from: Array(students.dropLast()), keepsGrid: true, keepsPooling: true)
    }
    #expect(missing.map { "\($0)" }?.contains("3 students for a circuit of read-in, 2 mediators") == true)
  }
}
