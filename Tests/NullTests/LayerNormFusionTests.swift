import Graph
import Testing

@testable import Ops

/// The residual stream's sum of gradients is drawn into the layer norm's gradient, on whichever side it stands.
struct LayerNormFusionTests {
  @Test(arguments: [false, true])
  func absorbsTheResidual(residualFirst: Bool) throws {
    let graph = Graph()
    let shape: Shape = [3, 5]
    func input(_ name: String, _ shape: Shape) -> Value { graph.input(name, shape) }
    let (residual, rows) = (input("residual", shape), Shape([3]))
    let operands = [
      input("x", shape), input("weight", [5]), input("mean", rows), input("rstd", rows), input("dy", shape),
    ]
    let dx = try graph.apply(LayerNormBackward(), to: operands)[0]
    let sum = residualFirst ? try residual + dx : try dx + residual

    let plain = Program(graph, results: [sum], fusing: false)
    let fused = Program(graph, results: [sum])
    #expect(fused.nodes.map(\.op.name) == ["layer_norm_backward"])
    #expect(Program(graph, results: [sum, dx]).nodes.count == 2, "dx itself is wanted too")

    let feeds = (operands + [residual]).enumerated().map { i, value in
      HostTensor(value.shape, (0..<value.type.count).map { Double(($0 * 7 + i * 3) % 11) / 4 - 1 })
    }
    let names = ["x", "weight", "mean", "rstd", "dy", "residual"]
    var interpreter = Interpreter()
    let fed = Dictionary(uniqueKeysWithValues: zip(names, feeds))
    #expect(interpreter.run(fused, feeding: fed) == interpreter.run(plain, feeding: fed))
  }
}
