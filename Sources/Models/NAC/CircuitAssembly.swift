import Graph
import NN

/// Which student a parameter of a whole circuit comes from.
package struct CircuitOrigin: Sendable, Hashable {
  /// 0 is the read-in, 1 ... iterations are the mediators, the last is the read-out.
  package let student: Int
  /// The parameter's name there.
  package let name: String
}

extension NeuralCircuit {
  /// Where a parameter comes from when the circuit is assembled from its students, nil for what starts afresh, as the
  /// reference has it: codes, signatures, seeder and the kernels' bandwidths always; the grid of positions and the output
  /// pooling where the students saw other images or classes. Stitches stay behind.
  ///
  /// - Parameters:
  ///   - keepsGrid: whether the students' images are of the circuit's size.
  ///   - keepsPooling: whether the students' classes are the circuit's.
  package func origin(of name: String, keepsGrid: Bool, keepsPooling: Bool) -> CircuitOrigin? {
    let last = settings.iterations + 1
    guard !name.hasSuffix("kernel.bandwidth") else { return nil }
    if let rest = name.rest(after: "input_tokenizer.") {
      if rest.hasPrefix("positional_grid."), !keepsGrid { return nil }
      return CircuitOrigin(student: 0, name: "tokenizer." + rest)
    }
    if let rest = name.rest(after: "output_tokenizer.") {
      return keepsPooling ? CircuitOrigin(student: last, name: "tokenizer." + rest) : nil
    }
    guard let part = name.rest(after: "latent_graphs.0.") else { return nil }
    if part.hasPrefix("read_in.") { return CircuitOrigin(student: 0, name: part) }
    if let rest = part.rest(after: "read_out.") { return CircuitOrigin(student: last, name: rest) }
    if let rest = part.rest(after: "propagators."), let dot = rest.firstIndex(of: "."), let d = Int(rest[..<dot]) {
      return CircuitOrigin(student: d + 1, name: String(rest[rest.index(after: dot)...]))
    }
    return nil
  }

  /// Fills the parameters of `values`, the circuit's block, that come from students.
  ///
  /// - Parameter students: layout and block of each, read-in first.
  /// - Throws: where a student lacks a parameter or has it in another shape: one line that names both sides.
  package func assemble(
    into values: inout [Float], from students: [(layout: ParameterLayout, values: [Float])], keepsGrid: Bool,
    keepsPooling: Bool
  ) throws(CircuitAssemblyError) {
    guard students.count == settings.iterations + 2 else {
      throw CircuitAssemblyError(
        "\(students.count) students for a circuit of read-in, \(settings.iterations) mediators and read-out; give "
          + "\(settings.iterations + 2)")
    }
    for parameter in layout.parameters {
      guard let origin = origin(of: parameter.name, keepsGrid: keepsGrid, keepsPooling: keepsPooling) else { continue }
      let (layout, given) = students[origin.student]
      guard let source = layout.parameters.first(where: { $0.name == origin.name }) else {
        throw CircuitAssemblyError(
          "\(layout.block) has no \(origin.name), which the circuit's \(parameter.name) comes from")
      }
      guard source.shape == parameter.shape else {
        throw CircuitAssemblyError(
          "\(layout.block): \(origin.name) has shape \(source.storedShape), the circuit's \(parameter.name) "
            + "\(parameter.storedShape); sizes of students and circuit must agree")
      }
      for i in 0..<parameter.shape.count { values[parameter.offset + i] = given[source.offset + i] }
    }
  }
}

/// Students that do not fit a circuit.
package struct CircuitAssemblyError: Error, Sendable, CustomStringConvertible {
  package let description: String

  init(_ description: String) { self.description = description }
}

extension String {
  fileprivate func rest(after prefix: String) -> String? { hasPrefix(prefix) ? String(dropFirst(prefix.count)) : nil }
}
