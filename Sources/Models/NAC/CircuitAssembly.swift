extension NeuralCircuit {
  /// Where a parameter comes from when the circuit is assembled from its students (module 0 is the read-in, 1 ... iterations
  /// are the mediators, the last is the read-out), nil for what starts afresh, as the reference has it: codes, signatures,
  /// seeder and the kernels' bandwidths always; the grid of positions and the output pooling where the students saw other
  /// images or classes. Stitches stay behind.
  ///
  /// - Parameters:
  ///   - keepsGrid: whether the students' images are of the circuit's size.
  ///   - keepsPooling: whether the students' classes are the circuit's.
  package func part(of name: String, keepsGrid: Bool, keepsPooling: Bool) -> Classifier.Part? {
    let last = settings.iterations + 1
    guard !name.hasSuffix("kernel.bandwidth") else { return nil }
    if let rest = name.rest(after: "input_tokenizer.") {
      if rest.hasPrefix("positional_grid."), !keepsGrid { return nil }
      return .init(module: 0, name: "tokenizer." + rest)
    }
    if let rest = name.rest(after: "output_tokenizer.") {
      return keepsPooling ? .init(module: last, name: "tokenizer." + rest) : nil
    }
    guard let part = name.rest(after: "latent_graphs.0.") else { return nil }
    if part.hasPrefix("read_in.") { return .init(module: 0, name: part) }
    if let rest = part.rest(after: "read_out.") { return .init(module: last, name: rest) }
    if let rest = part.rest(after: "propagators."), let dot = rest.firstIndex(of: "."), let d = Int(rest[..<dot]) {
      return .init(module: d + 1, name: String(rest[rest.index(after: dot)...]))
    }
    return nil
  }
}

extension String {
  fileprivate func rest(after prefix: String) -> String? { hasPrefix(prefix) ? String(dropFirst(prefix.count)) : nil }
}
