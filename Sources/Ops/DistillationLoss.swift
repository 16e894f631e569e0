import Foundation
import Graph
import Kernels

/// Loss of a student with or without a teacher, by row; the loss is the sum of the rows.
///
/// Inputs: student logits [B, N]; targets, labels u32 [B] or a distribution f32 [B, N]; except for `.none` the teacher's
/// logits [B, N]. Outputs: rows [B] of `loss = (1 - alpha) base + alpha kd`, of `base` and of `kd`, each divided by B.
/// A label of N or more marks a padding row: it counts nothing, B stays the divisor. Only the student gets a gradient.
package struct DistillationLoss: Op {
  package enum Kind: UInt32, Sendable, Hashable {
    /// loss = base, kd = 0.
    case none
    /// kd = tau^2 / N times the Kullback-Leibler divergence from the student's softmax to the teacher's, both of
    /// logits / tau. The division by N follows the reference's mean over all elements.
    case soft
    /// kd = cross entropy with the class the teacher ranks first.
    case hard
  }

  package static let name = "distillation_loss"
  let kind: Kind
  let alpha: Float
  let tau: Float
  /// Share of the target that is spread evenly over the classes; for labels only, a distribution is taken as it is.
  let labelSmoothing: Float

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    try check(inputs)
    let rows = TensorType([inputs[0].shape[0]])
    return [rows, rows, rows]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let (rows, classes) = (site.inputs[0].shape[0], site.inputs[0].shape[1])
    return Launch([
      Dispatch(
        DistillationLossKernel.self,
        constants: .init(
          CLUSTER: UInt32(cluster(site)), KIND: kind.rawValue, SOFT_TARGETS: site.inputs[1].dtype == .f32),
        push: .init(
          rows: UInt32(rows), classes: UInt32(classes), alpha: alpha, tau: tau, smoothing: labelSmoothing),
        operands(site) + [.output(0), .output(1), .output(2)], groups: groups(site))
    ])
  }

  package func vjp(_ pullback: Pullback) throws(ShapeError) -> [Value?] {
    let (inputs, cotangents) = (pullback.inputs, pullback.cotangents)
    let op = DistillationLossBackward(forward: self, given: cotangents.map { $0 != nil })
    let student = try inputs[0].graph.apply(op, to: inputs + cotangents.compactMap { $0 })[0]
    return [student] + Array(repeating: nil, count: inputs.count - 1)
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let batch = inputs[0].shape[0]
    var (base, kd) = ([Double](repeating: 0, count: batch), [Double](repeating: 0, count: batch))
    for b in 0..<batch {
      guard let target = target(inputs, row: b) else { continue }
      let student = row(inputs[0], b)
      base[b] = -zip(target, logSoftmax(student)).reduce(0) { $0 + $1.0 * $1.1 } / Double(batch)
      kd[b] = distance(student, inputs) { row($0, b) } / Double(batch)
    }
    let loss = zip(base, kd).map { kind == .none ? $0 : (1 - Double(alpha)) * $0 + Double(alpha) * $1 }
    return [HostTensor([batch], loss), HostTensor([batch], base), HostTensor([batch], kd)]
  }

  package static let cases: [OpCase] = {
    func inputs(_ batch: Int, _ classes: Int, soft: Bool, teacher: Bool) -> [OpCase.Input] {
      let targets: OpCase.Input =
        soft
        ? .init([batch, classes], .f32, .uniform(0, 2 / Double(classes)), isDifferentiated: false)
        : .init([batch], .u32, .integers(below: classes))
      return [.init([batch, classes], .f32, .normal(3)), targets]
        + (teacher ? [.init([batch, classes], .f32, .normal(3), isDifferentiated: false)] : [])
    }
    let plain = DistillationLoss(kind: .none, alpha: 0.5, tau: 1, labelSmoothing: 0)
    let smooth = DistillationLoss(kind: .none, alpha: 0.5, tau: 1, labelSmoothing: 0.1)
    let soft = DistillationLoss(kind: .soft, alpha: 0.3, tau: 2, labelSmoothing: 0.1)
    let hard = DistillationLoss(kind: .hard, alpha: 0.7, tau: 4, labelSmoothing: 0)
    return [
      OpCase("1x1 labels", plain, inputs(1, 1, soft: false, teacher: false)),
      OpCase("7x10 smoothed labels", smooth, inputs(7, 10, soft: false, teacher: false)),
      OpCase("5x200 distribution", plain, inputs(5, 200, soft: true, teacher: false)),
      OpCase("128x10 soft", soft, inputs(128, 10, soft: false, teacher: true)),
      OpCase("3x1000 soft, distribution", soft, inputs(3, 1000, soft: true, teacher: true)),
      OpCase("9x37 hard", hard, inputs(9, 37, soft: false, teacher: true)),
      OpCase("2x5 hard, distribution", hard, inputs(2, 5, soft: true, teacher: true)),
      OpCase(
        "5x3 soft, padding rows", soft,
        [
          .init([5, 3]), .init([5], .u32, .values([2, 3, 0, 4_294_967_295, 1])),
          .init([5, 3], isDifferentiated: false),
        ]),
    ]
  }()
}

/// d loss / d student logits [B, N]: the inputs of the loss, then the cotangents [B] of its outputs that are `given`.
package struct DistillationLossBackward: Op {
  package static let name = "distillation_loss_backward"
  let forward: DistillationLoss
  let given: [Bool]

  package func infer(_ inputs: [TensorType]) throws(ShapeError) -> [TensorType] {
    let operands = forward.kind == .none ? 2 : 3
    try forward.check(Array(inputs.prefix(operands)))
    guard inputs.dropFirst(operands).allSatisfy({ $0 == TensorType([inputs[0].shape[0]]) }),
      inputs.count == operands + given.count(where: { $0 })
    else { throw mismatch(inputs, "one cotangent [B] for each of the outputs \(given)") }
    return [inputs[0]]
  }

  package func launch(_ site: LaunchSite) -> Launch {
    let (rows, classes) = (site.inputs[0].shape[0], site.inputs[0].shape[1])
    var next = forward.kind == .none ? 2 : 3
    let cotangents = given.map { given -> Operand in
      guard given else { return .unused }
      defer { next += 1 }
      return .input(next).texels(.r32f)
    }
    return Launch([
      Dispatch(
        DistillationLossBackwardKernel.self,
        constants: .init(
          CLUSTER: UInt32(forward.cluster(site)), KIND: forward.kind.rawValue,
          SOFT_TARGETS: site.inputs[1].dtype == .f32, HAS_LOSS: given[0], HAS_BASE: given[1], HAS_KD: given[2]),
        push: .init(
          rows: UInt32(rows), classes: UInt32(classes), alpha: forward.alpha, tau: forward.tau,
          smoothing: forward.labelSmoothing),
        forward.operands(site) + cotangents + [.output(0)], groups: forward.groups(site))
    ])
  }

  package func reference(_ inputs: [HostTensor]) -> [HostTensor] {
    let (batch, classes) = (inputs[0].shape[0], inputs[0].shape[1])
    let (alpha, tau) = (Double(forward.alpha), Double(forward.tau))
    var rows = inputs.dropFirst(forward.kind == .none ? 2 : 3)[...]
    let cotangents = given.map { $0 ? rows.removeFirst().data : Array(repeating: 0, count: batch) }
    var gradient = HostTensor(zeros: inputs[0].type)
    for b in 0..<batch {
      guard let target = forward.target(inputs, row: b) else { continue }
      let base = cotangents[1][b] + (forward.kind == .none ? 1 : 1 - alpha) * cotangents[0][b]
      let kd = cotangents[2][b] + alpha * cotangents[0][b]
      let student = forward.row(inputs[0], b)
      let p = softmax(student)
      let total = target.reduce(0, +)
      for k in 0..<classes { gradient[b * classes + k] = base * (total * p[k] - target[k]) / Double(batch) }
      guard forward.kind != .none else { continue }
      let teacher = forward.row(inputs[2], b)
      let (from, to, weight) =
        forward.kind == .soft
        ? (softmax(student.map { $0 / tau }), softmax(teacher.map { $0 / tau }), tau / Double(classes))
        : (p, best(teacher), 1)
      for k in 0..<classes { gradient[b * classes + k] += kd * weight * (from[k] - to[k]) / Double(batch) }
    }
    return [gradient]
  }

  package static let cases = DistillationLoss.cases.map { forward -> OpCase in
    guard let op = forward.op as? DistillationLoss else { preconditionFailure("a case of another op") }
    let given = forward.name == "7x10 smoothed labels" ? [false, true, true] : [true, false, false]
    let rows = OpCase.Input([forward.inputs[0].type.shape[0]])
    return OpCase(
      forward.name, DistillationLossBackward(forward: op, given: given),
      forward.inputs + given.filter { $0 }.map { _ in rows }, checksGradient: false)
  }
}

extension DistillationLoss {
  fileprivate func check(_ inputs: [TensorType]) throws(ShapeError) {
    guard inputs.count == (kind == .none ? 2 : 3) else {
      throw mismatch(inputs, kind == .none ? "no teacher is read" : "the teacher's logits are missing")
    }
    let logits = inputs[0]
    guard logits.shape.rank == 2, logits.dtype == .f32 else { throw mismatch(inputs, "logits are f32 [B, N]") }
    guard inputs[1] == logits || inputs[1] == TensorType([logits.shape[0]], .u32) else {
      throw mismatch(inputs, "targets are labels u32 [B] or a distribution [B, N]")
    }
    guard kind == .none || inputs[2] == logits else { throw mismatch(inputs, "the teacher's logits are [B, N]") }
  }

  fileprivate func operands(_ site: LaunchSite) -> [Operand] {
    let soft = site.inputs[1].dtype == .f32
    return [
      .input(0).texels(.r32f), soft ? .unused : .input(1), soft ? .input(1).texels(.r32f) : .unused,
      kind == .none ? .unused : .input(2).texels(.r32f),
    ]
  }

  /// Lanes of a row. Of few classes each lane of a software driver has a row of its own: sums across lanes would cost more.
  fileprivate func cluster(_ site: LaunchSite) -> Int {
    site.traits.isSoftware && site.inputs[0].shape[1] <= 16 ? 1 : site.traits.cluster
  }

  /// A cluster of lanes per row.
  fileprivate func groups(_ site: LaunchSite) -> GroupCount {
    let rowsPerGroup = 64 / cluster(site)
    return GroupCount((site.inputs[0].shape[0] + rowsPerGroup - 1) / rowsPerGroup)
  }

  fileprivate func row(_ tensor: HostTensor, _ b: Int) -> [Double] {
    Array(tensor.data[b * tensor.shape.last..<(b + 1) * tensor.shape.last])
  }

  /// The distribution that row `b` should have, nil for a padding row.
  fileprivate func target(_ inputs: [HostTensor], row b: Int) -> [Double]? {
    let classes = inputs[0].shape.last
    if inputs[1].type.dtype == .f32 { return row(inputs[1], b) }
    let label = Int(inputs[1][b])
    guard label < classes else { return nil }
    let smoothing = Double(labelSmoothing)
    return (0..<classes).map { ($0 == label ? 1 - smoothing : 0) + smoothing / Double(classes) }
  }

  fileprivate func distance(
    _ student: [Double], _ inputs: [HostTensor], _ row: (HostTensor) -> [Double]
  ) -> Double {
    switch kind {
    case .none: return 0
    case .hard: return -zip(best(row(inputs[2])), logSoftmax(student)).reduce(0) { $0 + $1.0 * $1.1 }
    case .soft:
      let tau = Double(tau)
      let from = logSoftmax(student.map { $0 / tau })
      let to = logSoftmax(row(inputs[2]).map { $0 / tau })
      return zip(from, to).reduce(0) { $0 + exp($1.1) * ($1.1 - $1.0) } * tau * tau / Double(student.count)
    }
  }
}

private func logSoftmax(_ x: [Double]) -> [Double] {
  let largest = x.reduce(-.infinity, max)
  let total = log(x.reduce(0) { $0 + exp($1 - largest) })
  return x.map { $0 - largest - total }
}

private func softmax(_ x: [Double]) -> [Double] { logSoftmax(x).map { exp($0) } }

/// 1 at the largest element, the first of equal ones.
private func best(_ x: [Double]) -> [Double] {
  let index = x.firstIndex(of: x.reduce(-.infinity, max))
  return x.indices.map { $0 == index ? 1 : 0 }
}

extension Value {
  /// Rows [B] of the loss of these logits [B, N] and of its two parts; each adds up to the mean over the batch.
  /// - Parameters:
  ///   - targets: labels u32 [B], N or more for padding rows, or a distribution [B, N].
  ///   - teacher: logits [B, N]; needed unless `kind` is `.none`, ignored then.
  package func distillationLoss(
    targets: Value, teacher: Value? = nil, kind: DistillationLoss.Kind, alpha: Float = 0.5, tau: Float = 1,
    labelSmoothing: Float = 0
  ) throws(ShapeError) -> (loss: Value, base: Value, kd: Value) {
    let op = DistillationLoss(kind: kind, alpha: alpha, tau: tau, labelSmoothing: labelSmoothing)
    let inputs = [self, targets] + (kind == .none ? [] : [teacher].compactMap { $0 })
    let rows = try graph.apply(op, to: inputs)
    return (rows[0], rows[1], rows[2])
  }
}
