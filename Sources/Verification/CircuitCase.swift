import Foundation
import GPU
import Graph
import Models
import NN
import Ops
import Priors

extension Recomputation {
  /// Group 06: a whole circuit, in training with gradients and both regularisers, and in evaluation, with given noise.
  mutating func circuit(on device: Device) throws -> [Comparison] {
    let (shape, _) = try file.images()
    let (width, images) = try file.circuit(shape)
    let settings = try file.circuitSettings()
    let classes = try file.size(\.classes, "classes")
    let circuit = NeuralCircuit(block: "model", width: width, settings: settings, images: images, classes: classes)
    try load(circuit.layout) { "param." + $0 }
    let x = try input("in.x", shape)

    // Every noise tensor that the file holds is an input; the shapes are the model's.
    for name in file.tensors.names where name.hasPrefix("noise.") {
      guard let tensor = file.tensors.tensor(name) else { continue }
      _ = try input(name, Shape(tensor.shape))
    }
    let (graph, file) = (graph, file)
    func noise(_ spelled: @escaping (String) -> String) -> CircuitNoise {
      CircuitNoise { (name, shape, _) throws(ShapeError) in
        let tensor = "noise." + spelled(name)
        guard let found = file.tensors.tensor(tensor) else {
          throw ShapeError(op: tensor, inputs: [TensorType(shape)], reason: "\(file.tensors.path) has no such noise")
        }
        guard found.shape == shape.extents else {
          throw ShapeError(
            op: tensor, inputs: [TensorType(shape)], reason: "\(file.tensors.path) has it as \(found.shape)")
        }
        return graph.input(tensor, shape)
      }
    }

    let training = Forward(graph, training: true, state: StepState.input(in: graph), stream: "")
    let outcome = try circuit(x, noise: noise { $0 }, training)
    if let tokens = graph.nodes.first(where: { $0.op is AppendGrid }) {
      try expect("mid.tokens", .intermediates, graph.value(tokens.outputs[0]))
    }
    try expect("mid.readin_states", .intermediates, outcome.inputStates)
    try expect("out.input_states", .intermediates, outcome.inputStates)
    for (d, states) in outcome.mediatorStates.enumerated() {
      try expect("mid.prop\(d).mediator_states", .intermediates, states)
      try expect("mid.prop\(d).log_affinities", .intermediates, outcome.logAffinities[d]) {
        normalized($0, columns: settings.inputs + settings.mediators)
      }
    }
    if let last = outcome.mediatorStates.last { try expect("out.mediator_states", .intermediates, last) }
    try expect("out.output_states", .intermediates, outcome.outputStates)
    try expect("out.logits", .logits, outcome.logits)

    let targets = try input("in.soft_targets", outcome.logits.shape)
    let base = try outcome.logits.distillationLoss(targets: targets, kind: .none).loss.sum()
    let description = file.description
    if let hinge = description.hinge {
      let repulsion = try circuit.hingeRepulsion(hinge: hinge, training).sum()
      let weight = Float(try file.need(description.hingeWeight, "hinge_weight"))
      let loss = try base + repulsion.scaled(by: weight)
      try expectLoss("out.hinge.classification", rows: base)
      try expectLoss("out.hinge.graph_sparsity", rows: repulsion)
      try expectLoss("out.hinge.loss", rows: loss)
      // A bias of all confidences moves no softmax: its gradient is 0, and what both sides have is rounding.
      _ = try expectGradients(
        "grad.", of: loss, circuit.layout, slack: { $0.hasSuffix("confidence_scorer.bias") ? 1e-6 : 0 })
      try expectOnly("grad_hinge_only.", of: repulsion, circuit.layout)
    }
    if let model = description.blockModel {
      let target = NeuralCircuit.BlockTarget(blocks: model.clusters, inside: model.inside, across: model.across)
      guard 1...settings.mediators ~= target.blocks, settings.mediators % target.blocks == 0 else {
        throw file.unusable("\(settings.mediators) mediators do not divide into \(target.blocks) clusters")
      }
      let kernels = try circuit.mediatorKernels(training)
      var gains: [Value] = []
      for kernel in kernels { gains.append(try circuit.blockGains(kernel, target)) }
      let found = try Execution(Program(graph, results: gains), blocks: blocks(for: circuit.layout), on: device)
        .run(feeding: [:])
      var distance: Value?
      for (d, kernel) in kernels.enumerated() {
        let name = "block \(d)"
        let rows = assignRows(gains: found[d].data, clusters: target.blocks)
        feed(name, HostTensor(TensorType([rows.count], .u32), rows.map(Double.init)))
        let term = try circuit.blockDistance(
          kernel, block: graph.input(name, [rows.count], .u32), target
        ).sum()
        distance = try distance.map { (sum) throws(ShapeError) in try sum + term } ?? term
      }
      if let distance {
        try expectLoss("out.sbm.classification", rows: base)
        try expectLoss("out.sbm.graph_sparsity", rows: distance)
        try expectLoss("out.sbm.loss", rows: base + distance.scaled(by: Float(model.weight)))
        try expectOnly("grad_sbm.", of: distance, circuit.layout)
      }
    }

    let evaluated = try circuit(
      x, noise: noise { "eval_" + $0.replacing("_state_z", with: "_z") },
      Forward(graph, training: false, state: StepState.input(in: graph), stream: ""))
    try expect("out_eval.input_states", .intermediates, evaluated.inputStates)
    if let last = evaluated.mediatorStates.last { try expect("out_eval.mediator_states", .intermediates, last) }
    try expect("out_eval.output_states", .intermediates, evaluated.outputStates)
    try expect("out_eval.logits", .logits, evaluated.logits)
    return try compare(on: device)
  }

  /// Gradients of what depends on the parameters that the file has gradients for, and on no others.
  private mutating func expectOnly(_ prefix: String, of loss: Value, _ layout: ParameterLayout) throws {
    let file = file
    _ = try expectGradients(prefix, of: loss, layout, without: { !file.has(prefix + $0) })
    let others = layout.parameters.filter { parameter in !parameter.parts.contains { file.has(prefix + $0.name) } }
    let gradients = try graph.gradients(of: loss, withRespectTo: others.map(graph.parameter))
    for (parameter, gradient) in zip(others, gradients) where gradient != nil {
      throw file.unusable("no tensor \(prefix)\(parameter.name), but the term depends on it")
    }
  }
}

/// log k - log sum k over each row.
private func normalized(_ logs: [Double], columns: Int) -> [Double] {
  var result = logs
  for start in stride(from: 0, to: logs.count, by: columns) {
    let row = logs[start..<start + columns]
    let peak = row.max() ?? 0
    let total = peak + log(row.reduce(0) { $0 + exp($1 - peak) })
    for i in row.indices { result[i] -= total }
  }
  return result
}

extension ReferenceCase {
  func circuitSettings() throws(VerificationError) -> CircuitSettings {
    let settings = try need(description.config?.circuit, "config.nac")
    let stored = (0...).first { index in
      !tensors.names.contains { $0.hasPrefix("param.") && $0.contains("propagators.\(index).") }
    }
    if let asked = settings.iterations, let stored, asked != stored {
      throw unusable("config.nac.iters is \(asked), and \(tensors.path) has the parameters of \(stored) propagators")
    }
    func size(_ value: Int?, _ key: String) throws(VerificationError) -> Int {
      let value = try need(value, "config.nac.\(key)")
      guard 1...65_536 ~= value else { throw unusable("config.nac.\(key) is \(value), must be 1 to 65536") }
      return value
    }
    return CircuitSettings(
      inputs: try size(settings.inputs, "n_in"), mediators: try size(settings.mediators, "n_med"),
      outputs: try size(settings.outputs, "n_out"), signature: try size(settings.signature, "sig"),
      iterations: try size(settings.iterations, "iters"), truncation: try need(settings.truncation, "config.nac.trunc"),
      temperature: try need(settings.temperature, "config.nac.temp"),
      codeNoise: description.model?.graph?.codeNoise ?? 0.05)
  }
}
