import Graph
import Kernels

/// Puts the class token before each sample's patches and adds position embeddings:
/// (patches [B, N, C], cls [1, 1, C], pos [1, N + 1, C]) -> [B, N + 1, C].
package struct AssembleTokens: Op {
  package static let name = "assemble_tokens"

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    let shape = inputs[0].shape
    guard shape.rank == 3, inputs[1].shape == [1, 1, shape[2]], inputs[2].shape == [1, shape[1] + 1, shape[2]] else {
      throw mismatch(inputs, "expected patches [B, N, C], cls [1, 1, C], pos [1, N + 1, C]")
    }
    return [TensorType([shape[0], shape[1] + 1, shape[2]])]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let rows = RowClusters(site.outputs[0].shape, site.traits)
    return Launch([
      Dispatch(
        AssembleTokensKernel.self,
        constants: .init(CLUSTER: rows.cluster, C: rows.columns, T: UInt32(site.outputs[0].shape[1])),
        push: .init(rows: rows.count), (0..<3).map { .input($0).texels(rowsOf: Int(rows.columns)) } + [.output(0)],
        groups: rows.groups, lanes: rows.lanes)
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    guard let dy = pullback.cotangents[0] else { return [nil, nil, nil] }
    let dpatches = pullback.needs[0] ? try dy.graph.apply(DropFirstToken(), to: [dy])[0] : nil
    guard pullback.needs[1] || pullback.needs[2] else { return [dpatches, nil, nil] }
    let dpos = try dy.batchSum()
    let dcls = pullback.needs[1] ? try dy.graph.apply(TakeToken(keepsAxis: true), to: [dpos])[0] : nil
    return [dpatches, dcls, dpos]
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (patches, cls, pos) = (inputs[0], inputs[1], inputs[2])
    let (batch, tokens, columns) = (patches.shape[0], patches.shape[1] + 1, patches.shape[2])
    var y = HostTensor(zeros: TensorType([batch, tokens, columns]))
    for b in 0..<batch {
      for t in 0..<tokens {
        for c in 0..<columns {
          let token = t == 0 ? cls[c] : patches[(b * (tokens - 1) + t - 1) * columns + c]
          y[(b * tokens + t) * columns + c] = token + pos[t * columns + c]
        }
      }
    }
    return [y]
  }

  package static let cases = [[1, 1, 1], [2, 3, 7], [3, 16, 8], [5, 4, 13], [2, 5, 136], [2, 3, 197]].map {
    (extents: [Int]) in
    OpCase(
      "\(Shape(extents))", AssembleTokens(),
      [.init(Shape(extents)), .init([1, 1, extents[2]]), .init([1, extents[1] + 1, extents[2]])])
  }
}

/// Patches [B, N, C], class token [1, 1, C], position embeddings [1, N + 1, C] -> tokens [B, N + 1, C].
package func assembleTokens(patches: Value, cls: Value, pos: Value) throws(ShapeError) -> Value {
  try patches.graph.apply(AssembleTokens(), to: [patches, cls, pos])[0]
}

/// All tokens but the first: [B, T, C] -> [B, T - 1, C].
package struct DropFirstToken: Op {
  package static let name = "drop_first_token"

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    let shape = inputs[0].shape
    guard shape.rank == 3, shape[1] > 1 else { throw mismatch(inputs, "x is not [B, T, C] with T > 1") }
    return [TensorType([shape[0], shape[1] - 1, shape[2]])]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let rows = RowClusters(site.outputs[0].shape, site.traits)
    return Launch([
      Dispatch(
        DropFirstTokenKernel.self,
        constants: .init(CLUSTER: rows.cluster, C: rows.columns, T: UInt32(site.outputs[0].shape[1])),
        push: .init(rows: rows.count), [.input(0).texels(rowsOf: Int(rows.columns)), .output(0)],
        groups: rows.groups, lanes: rows.lanes)
    ])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (x, shape) = (inputs[0], inputs[0].shape)
    let (sample, columns) = (shape[1] * shape[2], shape[2])
    let kept = (0..<shape[0]).flatMap { x.data[$0 * sample + columns..<($0 + 1) * sample] }
    return [HostTensor([shape[0], shape[1] - 1, columns], kept)]
  }

  package static let cases = [[1, 2, 1], [2, 3, 7], [3, 17, 8], [5, 4, 13], [2, 5, 136], [2, 4, 197]].map {
    (extents: [Int]) in
    OpCase("\(Shape(extents))", DropFirstToken(), [.init(Shape(extents))], checksGradient: false)
  }
}
