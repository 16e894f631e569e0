/// Moves signatures until their graph is the wanted one: Adam (Kingma and Ba 2015) on the mean over all pairs of latents of
/// max(t, d) for joined and max(-t, -d) for other latents, d being their cosine distance and t the truncation.
///
/// On the host, in Float and in a fixed order, so that a circuit starts from the same numbers whatever device trains it.
/// The paper's largest circuit takes 1000 steps of 768 latents in 64 dimensions: 38 GFLOP for the distances, half of the
/// symmetric matrix, and less for the gradient, since only pairs on the wrong side of the truncation have one.
package struct SignatureFit {
  package private(set) var signatures: Signatures
  private let graph: LatentGraph
  private let truncation: Float
  private let learningRate: Float
  private var first: [Float]
  private var second: [Float]
  private var power: (first: Double, second: Double) = (1, 1)
  private var scratch: Scratch

  private static let beta: (first: Float, second: Float) = (0.9, 0.999)
  private static let eps: Float = 1e-8

  package init(_ signatures: Signatures, to graph: LatentGraph, truncation: Double = 0.8, learningRate: Double = 1e-3) {
    precondition(signatures.count == graph.count, "\(signatures.count) signatures for \(graph.count) latents")
    self.signatures = signatures
    self.graph = graph
    self.truncation = Float(truncation)
    self.learningRate = Float(learningRate)
    first = Array(repeating: 0, count: signatures.values.count)
    second = first
    scratch = Scratch(signatures)
  }

  package mutating func step() {
    scratch.normalize(signatures)
    scratch.collect(graph, truncation: truncation)
    power.first *= Double(Self.beta.first)
    power.second *= Double(Self.beta.second)
    let rate = learningRate / Float(1 - power.first)
    let correction = Float((1 - power.second).squareRoot())
    let pairs = Float(graph.count * graph.count)
    let dimension = signatures.dimension
    for u in 0..<signatures.count {
      // The pull along the signature does not turn it.
      var along: Float = 0
      for i in u * dimension..<(u + 1) * dimension { along += scratch.pull[i] * scratch.unit[i] }
      let factor = -2 / (pairs * scratch.norm[u])
      for i in u * dimension..<(u + 1) * dimension {
        let gradient = factor * (scratch.pull[i] - along * scratch.unit[i])
        first[i] += (gradient - first[i]) * (1 - Self.beta.first)
        second[i] = Self.beta.second * second[i] + (1 - Self.beta.second) * gradient * gradient
        signatures.values[i] -= rate * first[i] / (second[i].squareRoot() / correction + Self.eps)
      }
    }
  }
}

/// What one step needs of all latents.
private struct Scratch {
  var norm: [Float]
  var unit: [Float]  // (U, D)
  /// For each latent the sum of the units of those it is too far from, less those it is too near to. (U, D)
  var pull: [Float]
  private var columns: [Float]  // (D, U)
  private var cosines: [Float]  // one row
  private let count: Int
  private let dimension: Int

  init(_ signatures: Signatures) {
    (count, dimension) = (signatures.count, signatures.dimension)
    norm = Array(repeating: 0, count: count)
    unit = Array(repeating: 0, count: count * dimension)
    pull = unit
    columns = unit
    cosines = norm
  }

  mutating func normalize(_ signatures: Signatures) {
    for u in 0..<count {
      var square: Float = 0
      for i in u * dimension..<(u + 1) * dimension { square += signatures.values[i] * signatures.values[i] }
      norm[u] = square.squareRoot()
      for k in 0..<dimension {
        unit[u * dimension + k] = signatures.values[u * dimension + k] / norm[u]
        columns[k * count + u] = unit[u * dimension + k]
      }
    }
  }

  mutating func collect(_ graph: LatentGraph, truncation: Float) {
    let (count, dimension) = (count, dimension)
    func rows(_ x: UnsafeBufferPointer<Float>, _ u: Int) -> UnsafeBufferPointer<Float> {
      UnsafeBufferPointer(rebasing: x[u * dimension..<(u + 1) * dimension])
    }
    func rows(_ x: UnsafeMutableBufferPointer<Float>, _ u: Int) -> UnsafeMutableBufferPointer<Float> {
      UnsafeMutableBufferPointer(rebasing: x[u * dimension..<(u + 1) * dimension])
    }
    for i in pull.indices { pull[i] = 0 }
    for u in 0..<count {
      unit.withUnsafeBufferPointer { unit in
        columns.withUnsafeBufferPointer { columns in
          cosines.withUnsafeMutableBufferPointer { cosines in
            // Along the row, so that it becomes vector code without a reduction, whose order would have to change.
            // Four dimensions at a time, since reading and writing the row costs more than adding to it.
            let x = rows(unit, u)
            func column(_ k: Int) -> UnsafeBufferPointer<Float> {
              UnsafeBufferPointer(rebasing: columns[k * count..<(k + 1) * count])
            }
            let row = u + 1..<max(u + 1, count)
            for v in row { cosines[v] = 0 }
            for k in stride(from: 0, to: dimension - 3, by: 4) {
              let (x0, x1, x2, x3) = (x[k], x[k + 1], x[k + 2], x[k + 3])
              let (y0, y1, y2, y3) = (column(k), column(k + 1), column(k + 2), column(k + 3))
              for v in row { cosines[v] = cosines[v] + x0 * y0[v] + x1 * y1[v] + x2 * y2[v] + x3 * y3[v] }
            }
            for k in dimension / 4 * 4..<dimension {
              let (xk, y) = (x[k], column(k))
              for v in row { cosines[v] += xk * y[v] }
            }
          }
          pull.withUnsafeMutableBufferPointer { pull in
            for v in u + 1..<max(u + 1, count) {
              let distance = 1 - cosines[v]
              let isJoined = graph[u, v]
              guard isJoined ? distance > truncation : distance < truncation else { continue }
              let sign: Float = isJoined ? 1 : -1
              let (x, y) = (rows(unit, u), rows(unit, v))
              let (pullX, pullY) = (rows(pull, u), rows(pull, v))
              for k in 0..<dimension { pullX[k] += sign * y[k] }
              for k in 0..<dimension { pullY[k] += sign * x[k] }
            }
          }
        }
      }
    }
  }
}
