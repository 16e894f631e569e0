import Graph
import NN
import Random
import Testing

@testable import Ops

/// Read-in attention as it is computed, against its definition: every token projected for every receiver.
@Suite struct ReadInTests {
  @Test(arguments: [(3, 4), (1, 5)]) func equalsTheDirectForm(_ latents: Int, _ tokens: Int) throws {
    let (batch, state, codes, features, heads, dimension) = (2, 12, 5, 7, 3, 4)
    let builder = ParameterBuilder(block: "model")
    let attention = ReadInAttention(
      builder.root, state: state, codes: codes, tokens: features, heads: heads, headDimension: dimension)
    let graph = Graph()
    let forward = Forward(graph, training: false, state: StepState.input(in: graph), stream: "")
    let result = try attention(
      graph.input("states", [batch, latents, state]), codes: graph.input("codes", [latents, codes]),
      from: graph.input("tokens", [batch, tokens, features]), forward)

    var random = CounterRandom(seed: 1, stream: "read-in \(latents) \(tokens)")
    func numbers(_ count: Int) -> [Double] { (0..<count).map { _ in random.normal() } }
    let block = numbers(builder.layout.count)
    let direct = Direct(layout: builder.layout, block: block, heads: heads, dimension: dimension)
    let (x, c) = (numbers(batch * latents * state), numbers(latents * codes))
    let t = numbers(batch * tokens * features)
    var interpreter = Interpreter(blocks: ["model": block])
    let actual = interpreter.run(
      Program(graph, results: [result]),
      feeding: [
        "states": HostTensor([batch, latents, state], x), "codes": HostTensor([latents, codes], c),
        "tokens": HostTensor([batch, tokens, features], t),
      ])[0].data

    var expected: [Double] = []
    for b in 0..<batch {
      let rows = (0..<tokens).map { v in Array(t[(b * tokens + v) * features..<(b * tokens + v + 1) * features]) }
      for u in 0..<latents {
        let row = (b * latents + u) * state
        expected += direct.receive(
          Array(x[row..<row + state]), code: Array(c[u * codes..<(u + 1) * codes]), tokens: rows)
      }
    }
    let worst = zip(actual, expected).map { abs($0 - $1) }.max() ?? .infinity
    #expect(worst < 1e-12)
  }
}

private struct Direct {
  let layout: ParameterLayout
  let block: [Double]
  let heads: Int
  let dimension: Int

  func receive(_ state: [Double], code: [Double], tokens: [[Double]]) -> [Double] {
    let q = modulated("query_compiler", norm("receiver_layernorm", state), code)
    let senders = tokens.map { norm("sender_layernorm", $0) }
    let keys = senders.map { modulated("key_compiler", $0, code) }
    let values = senders.map { modulated("value_compiler", $0, code) }
    var merged: [Double] = []
    for h in 0..<heads {
      let range = h * dimension..<(h + 1) * dimension
      let scores = keys.map { k in
        range.reduce(0) { $0 + q[$1] * k[$1] } / Double(dimension).squareRoot()
      }
      let weights = Softmax(scale: 1).reference([HostTensor([scores.count], scores)])[0].data
      for i in range { merged.append(zip(weights, values).reduce(0) { $0 + $1.0 * $1.1[i] }) }
    }
    let left = zip(modulated("exit_layer", merged, code), parameter("exit_layer.native_bias")).map(+)
    let branch = zip(left, parameter("layer_scale.gamma")).map(*)
    return zip(state, branch).map(+)
  }

  private func parameter(_ name: String) -> [Double] {
    guard let parameter = layout.parameters.first(where: { $0.name == name }) else { return [] }
    return Array(block[parameter.offset..<parameter.offset + parameter.shape.count])
  }

  private func modulated(_ name: String, _ x: [Double], _ code: [Double]) -> [Double] {
    let gain = parameter("\(name).scale_gain")[0]
    let scale = standardized(product(parameter("\(name).scale.weight"), code)).map { gain * $0 + 1 }
    return product(parameter("\(name).native_weight"), zip(x, scale).map(*))
  }

  private func norm(_ name: String, _ x: [Double]) -> [Double] {
    let scaled = zip(standardized(x), parameter("\(name).weight")).map(*)
    return zip(scaled, parameter("\(name).bias")).map(+)
  }

  private func product(_ weight: [Double], _ x: [Double]) -> [Double] {
    (0..<weight.count / x.count).map { r in x.indices.reduce(0) { $0 + weight[r * x.count + $1] * x[$1] } }
  }

  private func standardized(_ x: [Double]) -> [Double] {
    let mean = x.reduce(0, +) / Double(x.count)
    let variance = x.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(x.count)
    return x.map { ($0 - mean) / (variance + 1e-5).squareRoot() }
  }
}
