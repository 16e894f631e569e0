import GPU
import Graph
import Models
import NN
import Ops

extension Recomputation {
  /// The set's `05_nac_common` holds no results; its models must be what its settings say.
  mutating func circuitFrame() throws -> [Comparison] {
    _ = try dense("meta", from: file)
    _ = try dense("teacher", from: file)
    return []
  }

  /// Group 05: a module of a circuit as a student, see `pair`. Meta model, teacher, inputs, codes and states are in the set's
  /// `05_nac_common`.
  mutating func circuitPair(on device: Device) throws -> [Comparison] {
    let frame = try pairFrame(from: file.sibling("05_nac_common"))
    let (width, images) = try file.circuit(frame.images)
    let kind: CircuitStudent.Kind = frame.place == 0 ? .readIn : frame.isLast ? .readOut : .mediator
    let student = CircuitStudent(
      block: "student", kind: kind, width: width, stitch: try file.size(\.embed, "embed"), images: images,
      classes: frame.task.classes)
    try load(student.layout) { "param." + $0 }

    let batch = frame.images[0]
    let noise = "noise.gumbel"
    let h = try enter(frame)
    let output = try student(
      h,
      CircuitStudent.Latents(
        codes: input("in.codes", [1, width.code], from: frame.common),
        states: input("in.states", [batch, 1, width.state], from: frame.common),
        noise: file.has(noise) ? input(noise, [batch, 1]) : nil), forward)
    if let tokens = graph.nodes.first(where: { $0.op is AppendGrid }) {
      try expect("mid.tokens", .intermediates, graph.value(tokens.outputs[0]))
    }
    if !frame.isLast { try expect("mid.student_module_output", .intermediates, output) }
    try expectPair(frame, input: h, output: output, student: student.layout)
    return try compare(on: device)
  }
}

extension ReferenceCase {
  /// Width of a circuit and the images f32 [B, channels, S, S] that it reads.
  func circuit(_ shape: Shape) throws(VerificationError) -> (width: CircuitWidth, images: CircuitImages) {
    let settings = try need(description.config?.circuit, "config.nac")
    let sizes = [
      settings.state, settings.code, settings.heads, settings.headDimension, settings.gridFeatures, settings.grid,
    ]
    guard sizes.allSatisfy({ 1...65_536 ~= $0 }), settings.state >= 4, 0.1...64 ~= settings.capacity else {
      throw unusable("config.nac: sizes are 1 to 65536, state is at least 4, and cap 0.1 to 64")
    }
    guard shape[2] == 8 * settings.grid, shape[3] == shape[2] else {
      throw unusable("config.nac.grid is \(settings.grid), images \(shape) make \(shape[2] / 8) positions a side")
    }
    let width = CircuitWidth(
      state: settings.state, code: settings.code, heads: settings.heads, headDimension: settings.headDimension,
      capacity: settings.capacity)
    let images = CircuitImages(
      size: shape[2], channels: shape[1], gridFeatures: settings.gridFeatures, normalization: .init(mean: [], std: []))
    return (width, images)
  }
}
