import ArgumentParser
import GPU
import Graph
import Ops
import Tuning

struct MatmulBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "matmul", abstract: "f32 matrix products beside OpenBLAS and beside a reference kernel.",
    discussion: """
      All run in alternation. --against takes any library with cblas_sgemm. The reference kernel, on software devices, \
      is bench/shaders/lanes_reference.comp on operands that were packed before: it multiplies only, whatever the form.
      """)

  @Option(help: "M x N x K, e.g. 1576x3072x768; may be repeated.") var shape: [MatmulShape] = []
  @Option(help: "nn, nt or tn; may be repeated. All by default.") var form: [MatmulForm] = []
  @Option(help: "Library with cblas_sgemm; left out with a note if it is not there.") var against: String?
  @Flag(help: "Every variant that the op offers here, not just the chosen one.") var variants = false
  @OptionGroup var options: BenchOptions

  func run() throws {
    let session = try Session(options)
    let shapes = shape.isEmpty ? MatmulShape.defaults : shape
    let blas = try blas(session)
    for shape in shapes {
      for form in form.isEmpty ? MatmulForm.allCases : form { try measure(shape, form, blas, session) }
    }
    try session.finish()
  }

  /// The library that was asked for, or the usual one if it is there.
  private func blas(_ session: Session) throws -> OpenBLAS? {
    if let against { return try OpenBLAS(against) }
    do throws(BenchError) { return try OpenBLAS("libopenblas.so.0") } catch {
      session.note("without OpenBLAS: \(error)")
      return nil
    }
  }

  private func measure(_ shape: MatmulShape, _ form: MatmulForm, _ blas: OpenBLAS?, _ session: Session) throws {
    let (opCase, transposing) = (try form.opCase(shape), form.transposing)
    let op = opCase.op
    let types = opCase.inputs.map(\.type)
    let site = LaunchSite(inputs: types, outputs: try op.infer(types), traits: session.device.traits)
    let tensors = try OpTensors(opCase, on: session.device, copies: session.copies(at: site))
    let (a, b) = (tensors.inputs[0].data.map { Float($0) }, tensors.inputs[1].data.map { Float($0) })
    let launches = try session.variants(of: op, at: site, all: variants)

    var contenders: [Contender] = []
    var errors: [Double?] = []
    for variant in launches {
      contenders.append(try Contender(variant.name, variant.launch, on: tensors))
      let c = try OpTimer(variant.launch, on: tensors).results()[0].data.map { Float($0) }
      errors.append(shape.sampledError(c, transposing, a, b))
    }
    if let blas {
      var c = [Float](repeating: 0, count: shape.m * shape.n)
      contenders.append(Contender("OpenBLAS") { blas.multiply(transposing, shape, a, b, into: &c) })
      errors.append(shape.sampledError(c, transposing, a, b))
    }
    do throws(BenchError) {
      let reference = try LanesReference(shape, transposing, a, b, on: session.device)
      contenders.append(reference.contender)
      errors.append(shape.sampledError(reference.product, transposing, a, b))
    } catch {
      session.note("without the reference kernel: \(error)")
    }

    let timings = try alternate(contenders, seconds: options.seconds)
    for (i, contender) in contenders.enumerated() {
      let isOurs = i < launches.count
      var relative: [String: Double] = [:]
      if isOurs {
        for j in launches.count..<contenders.count { relative[contenders[j].family] = timings[j].min / timings[i].min }
      }
      session.report(
        op: op.name, case: "\(form.rawValue) \(shape)", shape: "\(shape)", family: contender.family, timings[i],
        cost: op.cost(site.inputs, site.outputs), error: errors[i], relative: relative,
        of: contender.family == "OpenBLAS" ? ("host", blas?.library ?? "") : nil)
      if !options.json, !relative.isEmpty {
        let parts = relative.sorted { $0.key < $1.key }.map { "\(Int((100 * $0.value).rounded())) % of \($0.key)" }
        print("  \(form.rawValue) \(shape) \(contender.family): \(parts.joined(separator: ", "))")
      }
    }
  }
}

/// Which operands of a product are read transposed, by the field's letters.
enum MatmulForm: String, CaseIterable, ExpressibleByArgument {
  case nn, nt, tn

  var transposing: Transposition {
    switch self {
    case .nn: .none
    case .nt: .right
    case .tn: .left
    }
  }

  /// The product of two normal matrices.
  func opCase(_ shape: MatmulShape) throws(ShapeError) -> OpCase {
    let a: Shape = self == .tn ? [shape.k, shape.m] : [shape.m, shape.k]
    let b: Shape = self == .nt ? [shape.n, shape.k] : [shape.k, shape.n]
    let graph = Graph()
    _ = try graph.input("a", a).matmul(graph.input("b", b), transposing: transposing)
    return OpCase("\(rawValue) \(shape)", graph.nodes[0].op, [.init(a), .init(b)])
  }
}

/// C [M, N] is a sum over K.
struct MatmulShape: ExpressibleByArgument, CustomStringConvertible {
  let m: Int
  let n: Int
  let k: Int

  init(_ m: Int, _ n: Int, _ k: Int) {
    self.m = m
    self.n = n
    self.k = k
  }

  init?(argument: String) {
    let extents = argument.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
    guard extents.count == 3, extents.allSatisfy({ 1...1_000_000 ~= $0 }) else { return nil }
    self.init(extents[0], extents[1], extents[2])
  }

  var description: String { "\(m)x\(n)x\(k)" }

  /// What the paper's base model multiplies in a batch of 8, and a cube.
  static let defaults = [
    MatmulShape(1576, 2304, 768), MatmulShape(1576, 3072, 768), MatmulShape(1576, 768, 3072), MatmulShape(512, 512, 512),
  ]

  /// The largest error of `c` on 1,000 elements spread over it, relative to max(1, the largest of them).
  func sampledError(_ c: [Float], _ transposing: Transposition, _ a: [Float], _ b: [Float]) -> Double {
    var (worst, largest) = (0.0, 1.0)
    for sample in 0..<min(1000, m * n) {
      // The corners, and places that no power of two divides.
      let place = sample == 0 ? m * n - 1 : sample * 7919 * 104_729 % (m * n)
      let (i, j) = (place / n, place % n)
      var sum = 0.0
      for l in 0..<k {
        let x = a[transposing == .left ? l * m + i : i * k + l]
        let y = b[transposing == .right ? j * k + l : l * n + j]
        sum += Double(x) * Double(y)
      }
      let error = abs(Double(c[place]) - sum)
      worst = error.isNaN ? .infinity : max(worst, error)
      largest = max(largest, abs(sum))
    }
    return worst / largest
  }
}
