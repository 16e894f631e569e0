import GPU
import Graph
import NN
import Ops

extension Recomputation {
  /// Group 07: AdamW steps with given gradients, clipped by their global norm or not.
  mutating func adamW(on device: Device) throws -> [Comparison] {
    let description = file.description
    let prefix = "step0.param."
    let names = file.tensors.names.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
    guard !names.isEmpty else { throw file.unusable("\(file.tensors.path) has no tensor \(prefix)…") }
    let builder = ParameterBuilder(block: "model")
    for name in names {
      guard let tensor = file.tensors.tensor(prefix + name), tensor.shape.allSatisfy({ $0 > 0 }) else {
        throw file.unusable("\(file.tensors.path): tensor \(prefix)\(name) is empty")
      }
      _ = builder.root.parameter(name, Shape(tensor.shape), .zeros)
    }
    let layout = builder.layout
    try load(layout) { prefix + $0 }
    addMoments(of: layout)

    let optimizer = try CaseOptimizer(file, groups: file.need(description.groups, "groups"))
    let gradients = layout.parameters.map { graph.input("grad." + $0.name, $0.shape) }
    let norm = try optimizer.step(graph, layout, gradients: gradients) { $0 }
    let execution = try execution(on: device, extra: [norm])

    var comparisons: [Comparison] = []
    var step = 1
    while file.tensors.names.contains(where: { $0.hasPrefix("step\(step).param.") }) {
      let lr = step < 3 ? optimizer.lr : try file.need(description.lrStep3, "lr_step3")
      var feeds = [StepState.inputName: optimizer.state(step: step, lr: lr)]
      for parameter in layout.parameters {
        let name = "step\(step).grad.\(parameter.name)"
        feeds["grad." + parameter.name] = HostTensor(parameter.shape, try file.values(name, parameter.shape))
        touch(name)
      }
      let results = try execution.run(feeding: feeds)
      if let norms = description.clipNorms, !norms.isEmpty {
        guard norms.indices.contains(step - 1) else { throw file.unusable("clip_norms has no number for step \(step)") }
        comparisons.append(
          Comparison(.norms, "clip_norms[\(step - 1)]", expected: [norms[step - 1]], actual: results[0].data))
      }
      let after = try execution.contents(of: layout.block)
      for part in layout.parameters.flatMap(\.parts) {
        let name = "step\(step).param.\(part.name)"
        comparisons.append(
          Comparison(
            .parameters, name, expected: try file.values(name, part.shape), actual: Array(after[part.range])))
        touch(name)
      }
      step += 1
    }
    return comparisons
  }
}
