import Graph

/// Where the elements of attention's tensors are: qkv [B, T, 3, H, D], y [B, T, H, D], logsumexp [B, H, T].
struct AttentionLayout: CustomStringConvertible {
  enum Part: Int { case q, k, v }

  let batch: Int
  let tokens: Int
  let heads: Int
  let headDimension: Int

  init(batch: Int, tokens: Int, heads: Int, headDimension: Int) {
    self.batch = batch
    self.tokens = tokens
    self.heads = heads
    self.headDimension = headDimension
  }

  init(qkv: Shape, heads: Int) {
    self.init(batch: qkv[0], tokens: qkv[1], heads: heads, headDimension: qkv[2] / 3 / heads)
  }

  var qkv: Shape { [batch, tokens, 3 * heads * headDimension] }
  var merged: Shape { [batch, tokens, heads * headDimension] }
  var statistics: Shape { [batch, heads, tokens] }
  var scale: Double { 1 / Double(headDimension).squareRoot() }
  var description: String { "B\(batch) T\(tokens) H\(heads) D\(headDimension)" }

  func element(_ part: Part, _ b: Int, _ h: Int, _ t: Int, _ d: Int) -> Int {
    (((b * tokens + t) * 3 + part.rawValue) * heads + h) * headDimension + d
  }

  func merged(_ b: Int, _ h: Int, _ t: Int, _ d: Int) -> Int { ((b * tokens + t) * heads + h) * headDimension + d }

  func statistic(_ b: Int, _ h: Int, _ t: Int) -> Int { (b * heads + h) * tokens + t }

  /// q_i k_j scale for all keys j.
  func scores(_ qkv: HostTensor, _ b: Int, _ h: Int, _ i: Int) -> [Double] {
    (0..<tokens).map { j in
      let (q, k) = (element(.q, b, h, i, 0), element(.k, b, h, j, 0))
      return (0..<headDimension).reduce(0) { $0 + qkv[q + $1] * qkv[k + $1] } * scale
    }
  }

  func forEachQuery(_ body: (_ b: Int, _ h: Int, _ i: Int) -> Void) {
    for b in 0..<batch { for h in 0..<heads { for i in 0..<tokens { body(b, h, i) } } }
  }

  /// The demo's proportions; odd numbers of tokens, one of them, several tiles, for lanes that share what they read and
  /// lanes that do not; head dimensions that are no whole vectors.
  static let cases = [
    (2, 17, 2, 16), (2, 1, 2, 4), (2, 7, 3, 12), (1, 23, 1, 12), (1, 47, 1, 16), (1, 26, 1, 64), (1, 9, 1, 68),
    (1, 41, 1, 32), (1, 38, 1, 64), (1, 23, 2, 3), (2, 9, 1, 10), (1, 5, 2, 1),
    // Large enough for lane stores.
    (7, 37, 2, 64), (8, 43, 6, 16),
  ].map { AttentionLayout(batch: $0.0, tokens: $0.1, heads: $0.2, headDimension: $0.3) }
}
