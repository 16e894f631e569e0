import GPU
import Graph
import NN
import Ops

extension Recomputation {
  /// Group 08: learning rates by epoch, on the host in Double.
  mutating func schedule() throws -> [Comparison] {
    var comparisons: [Comparison] = []
    for (name, settings) in try file.need(file.description.schedules, "cases").sorted(by: { $0.key < $1.key }) {
      guard settings.epochs > 0, settings.warmupEpochs >= 0 else {
        throw file.unusable("\(name) has \(settings.epochs) epochs and \(settings.warmupEpochs) of warm-up")
      }
      let rate = LearningRate(
        base: settings.lr, warmupFrom: settings.warmupLR, minimum: settings.minLR, warmup: settings.warmupEpochs,
        total: settings.epochs)
      let lag: Int
      switch settings.loop {
      case "main": lag = 1
      case "nac": lag = 0
      default: throw file.unusable("\(name) has the loop \(settings.loop); main and nac are known")
      }
      for (tensor, lag) in [("\(name).schedule", 0), ("\(name).used", lag)] {
        let expected = try file.values(tensor, file.shape(tensor, rank: 1))
        comparisons.append(
          Comparison(.schedule, tensor, expected: expected, actual: expected.indices.map { rate(max($0 - lag, 0)) }))
        touch(tensor)
      }
    }
    return comparisons
  }

  /// Group 12: losses of plain logits, by kind, temperature and weight of the teacher, and their gradients.
  mutating func losses(on device: Device) throws -> [Comparison] {
    let shape = try file.shape("in.student_logits", rank: 2)
    let student = try input("in.student_logits", shape)
    let teacher = try input("in.teacher_logits", shape)
    let targets = try input("in.soft_targets", shape)
    let labels = try labels(student)
    try expectLoss("out.ce", rows: student.distillationLoss(targets: labels, kind: .none).loss)
    try expectLoss("out.soft_ce", rows: student.distillationLoss(targets: targets, kind: .none).loss)
    for name in file.tensors.names {
      if name.hasPrefix("out.ls"), let smoothing = Float(name.dropFirst("out.ls".count)) {
        let rows = try student.distillationLoss(targets: labels, kind: .none, labelSmoothing: smoothing)
        try expectLoss(name, rows: rows.loss)
      }
      guard name.hasPrefix("out."), name.hasSuffix(".loss"), let setting = LossSetting(name.dropFirst(4).dropLast(5))
      else { continue }
      let rows = try student.distillationLoss(
        targets: targets, teacher: teacher, kind: setting.kind, alpha: setting.alpha, tau: setting.tau)
      try expectLoss(name, rows: rows.loss)
      if setting.kind != .none { try expectLoss("out.\(setting.name).kd", rows: rows.kd) }
      if let gradient = try graph.gradients(of: rows.loss, withRespectTo: [student])[0] {
        try expect("grad.\(setting.name)", .gradients, gradient)
      }
    }
    return try compare(on: device)
  }

  /// Group 13: drop path with given random numbers, alone and added to what it leaves out.
  mutating func dropPath(on device: Device) throws -> [Comparison] {
    for name in file.tensors.names where name.hasPrefix("p") && name.hasSuffix(".in") {
      let prefix = String(name.dropLast(3))
      guard let rate = Float(prefix.dropFirst()), 0..<1 ~= rate else { continue }
      let shape = try file.shape(name, rank: 3)
      let u = try file.values("\(prefix).u", [shape[0], 1, 1])
      touch("\(prefix).u")
      feed("\(prefix).u", HostTensor([shape[0]], u))
      let scale = try graph.input("\(prefix).u", [shape[0]]).dropPathScale(rate: rate)
      let kept = try input(name, shape).scaledPerSample(by: scale)
      try expect("\(prefix).out", .intermediates, kept)
      try expect("\(prefix).nac_out", .intermediates, input("\(prefix).old", shape) + kept)
    }
    return try compare(on: device)
  }
}

/// `soft.tau2.0.alpha0.3`
private struct LossSetting {
  let name: String
  let kind: DistillationLoss.Kind
  let tau: Float
  let alpha: Float

  init?(_ name: Substring) {
    let kinds: [Substring: DistillationLoss.Kind] = ["soft": .soft, "hard": .hard, "none": .none]
    guard let match = name.wholeMatch(of: /([a-z]+)\.tau([0-9.e+-]+)\.alpha([0-9.e+-]+)/), let kind = kinds[match.1],
      let tau = Float(match.2), let alpha = Float(match.3)
    else { return nil }
    (self.name, self.kind, self.tau, self.alpha) = (String(name), kind, tau, alpha)
  }
}
