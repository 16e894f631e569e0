import Distillation
import Foundation
import GPU
import Graph
import NN
import Storage
import TestSupport
import Testing

@testable import Verification

/// The reference implementation's own numbers.
enum Golden {
  static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fixtures/golden").path

  static func path(_ name: String) -> String { "\(directory)/\(name).json" }

  /// Every fixture, by name; empty if they cannot be listed, which a test checks.
  static let names = ((try? Verifier.cases(in: directory)) ?? []).map {
    (($0 as NSString).lastPathComponent as NSString).deletingPathExtension
  }

  /// A copy of a case, with the cases it needs, in which `change` may edit the tensors' bytes.
  static func copy(
    _ name: String, to directory: TemporaryDirectory,
    change: (inout [(name: String, shape: [Int], bytes: [UInt8])]) -> Void
  ) throws -> String {
    for other in Set([name, "shared_03_common", "shared_05_nac_common"]) {
      for suffix in ["json", "safetensors"] {
        try FileManager.default.copyItem(
          atPath: "\(self.directory)/\(other).\(suffix)", toPath: directory.file("\(other).\(suffix)"))
      }
    }
    let file = try Safetensors(reading: "\(self.directory)/\(name).safetensors")
    var tensors: [(name: String, shape: [Int], bytes: [UInt8])] = []
    var types: [String: SafeTensor.DType] = [:]
    for name in file.names {
      guard let tensor = file.tensor(name) else { continue }
      tensors.append((name, tensor.shape, tensor.bytes))
      types[name] = tensor.dtype
    }
    change(&tensors)
    try Safetensors.write(
      tensors.map { ($0.name, $0.shape, .raw($0.bytes, types[$0.name] ?? .f32)) },
      to: directory.file("\(name).safetensors"))
    return directory.file("\(name).json")
  }
}

@Suite(.serialized, .enabled(if: TestDevice.isPresent, TestDevice.absence))
struct GoldenTests {
  @Test func allGroupsHaveFixtures() {
    let groups = Set(Golden.names.compactMap { $0.split(separator: "_").dropFirst().first.map(String.init) })
    #expect(groups == Set(CaseGroup.allCases.map(\.rawValue)))
  }

  @Test(arguments: Golden.names) func agreesWithTheReference(_ name: String) throws {
    let report = try Verifier(device: TestDevice.shared.get()).verify(Golden.path(name))
    #expect(report.passes, "\(report.text)")
  }

  /// So does a GPU with the least there is: texel views that hold next to nothing, and lanes that cannot exchange values.
  @Test(arguments: ["shared_03_vmoe_idx1", "shared_05_nac_mediator", "shared_07_adamw_deep_filter_clip1"])
  func agreesOnTheLeastDevice(_ name: String) throws {
    let instance = try Instance(validation: TestDevice.validates) { Issue.record("validation: \($0)") }
    var snapshot = try DevicePlan(choosing: TestDevice.name, from: instance.snapshots()).snapshot
    snapshot.kind = .discrete
    snapshot.limits.texelBufferElements = 4
    snapshot.subgroups.shufflesInCompute = false
    let device = try Device(plan: DevicePlan(choosing: nil, from: [snapshot]), instance: instance)
    try #require(device.traits.subgroupSize == 1 && !device.traits.isSoftware)
    let report = try Verifier(device: device).verify(Golden.path(name))
    #expect(report.passes, "\(report.text)")
  }

  /// One number of one tensor, moved by a little more than its tolerance, fails its case and no other tensor.
  @Test(arguments: [
    ("shared_01_vit", "out.prefix_end2", 2e-4), ("shared_01_vit", "out.loss_ls0.1", 3e-5),
    ("shared_02_mt_idx0", "grad.pos_embed", 1e-4), ("shared_02_mt_idx0", "after_step.stage.pos_embed", 1e-5),
    ("shared_03_vmoe_idx1", "mid.gate_logits.stages.0.blocks.1.moe.gate", 2e-4),
    ("shared_03_vmoe_idx1", "grad_hard.stages.0.blocks.0.pre_stitch.fc.weight", 1e-3),
    ("shared_07_adamw_deep_filter_clip1", "step3.param.stages.0.blocks.0.norm1.weight", 1e-5),
    ("shared_12_losses", "grad.soft.tau4.0.alpha0.3", 1e-4), ("all_13_droppath", "p0.5.nac_out", 2e-4),
    ("shared_05_nac_readin", "grad_soft.read_in.read_in_attention.key_compiler.scale.weight", 1e-3),
    ("shared_06_nac_full", "mid.prop1.log_affinities", 1e-2), ("shared_06_nac_full", "out.sbm.graph_sparsity", 3e-5),
    ("shared_06b_graph_priors", "ring_of_cliques.signatures_iter10", 3e-5),
  ]) func noticesAPerturbation(_ name: String, _ tensor: String, _ change: Float) throws {
    let directory = try TemporaryDirectory()
    let path = try Golden.copy(name, to: directory) { tensors in
      for i in tensors.indices where tensors[i].name == tensor {
        let largest = tensors[i].bytes.floats.enumerated().max { abs($0.element) < abs($1.element) }
        tensors[i].bytes.add(change, at: largest?.offset ?? 0)
      }
    }
    let report = try Verifier(device: TestDevice.shared.get()).verify(path)
    #expect(!report.passes)
    #expect(report.comparisons.filter { !$0.passes }.map(\.tensor) == [tensor])
  }

  @Test func noticesAnotherExpert() throws {
    let directory = try TemporaryDirectory()
    let path = try Golden.copy("shared_03_vmoe_idx0", to: directory) { tensors in
      for i in tensors.indices where tensors[i].name.hasPrefix("mid.gate_topk_idx") { tensors[i].bytes[0] ^= 1 }
    }
    let report = try Verifier(device: TestDevice.shared.get()).verify(path)
    #expect(report.comparisons.filter { !$0.passes }.map(\.quantity) == [.indices, .indices])
  }

  @Test func noticesATensorItDoesNotKnow() throws {
    let directory = try TemporaryDirectory()
    let path = try Golden.copy("shared_12_losses", to: directory) { $0.append(("out.extra", [1], [0, 0, 0, 0])) }
    let report = try Verifier(device: TestDevice.shared.get()).verify(path)
    #expect(!report.passes && report.leftOver == ["out.extra"])
  }

  @Test func notANumberFails() {
    let comparison = Comparison(.losses, "out.loss", expected: [.nan, 1], actual: [.nan, 1])
    #expect(!comparison.passes)
  }

  // MARK: Cases that cannot be used: one line that says what and where

  @Test func missingTensor() throws {
    let directory = try TemporaryDirectory()
    let path = try Golden.copy("shared_01_vit", to: directory) { $0.removeAll { $0.name == "grad.cls_token" } }
    #expect(
      try complaint(path).contains(
        "shared_01_vit.safetensors: no tensor grad.cls_token; expected one of shape [1, 1, 48]"))
  }

  @Test func misshapenTensor() throws {
    let directory = try TemporaryDirectory()
    let path = try Golden.copy("shared_01_vit", to: directory) { tensors in
      for i in tensors.indices where tensors[i].name == "param.pos_embed" { tensors[i].shape = [1, 48, 17] }
    }
    #expect(try complaint(path).contains("tensor param.pos_embed has shape [1, 48, 17], expected [1, 17, 48]"))
  }

  @Test func truncatedFile() throws {
    let directory = try TemporaryDirectory()
    let path = try Golden.copy("shared_12_losses", to: directory) { _ in }
    let tensors = URL(fileURLWithPath: directory.file("shared_12_losses.safetensors"))
    try Data(contentsOf: tensors).dropLast(1000).write(to: tensors)
    #expect(try complaint(path).contains("shared_12_losses.safetensors: truncated"))
  }

  @Test func otherFiles() throws {
    let directory = try TemporaryDirectory()
    for (text, expected) in [
      ("{", "not the JSON of a case"), ("{}", "no name"), ("{\"name\": 3}", "name is no String"),
      ("{\"name\": \"vit\"}", "starts with its group"), ("{\"name\": \"09_mixup\"}", "group 09 are not supported"),
      ("{\"name\": \"01_vit\", \"config\": {\"img\": \"32\"}}", "config.img is no Int"),
    ] {
      try Data(text.utf8).write(to: URL(fileURLWithPath: directory.file("case.json")))
      #expect(try complaint(directory.file("case.json")).contains(expected))
    }
    #expect(try complaint(directory.file("none.json")).contains("no such file"))
  }

  private func complaint(_ path: String) throws -> String {
    let verifier = Verifier(device: try TestDevice.shared.get())
    let error = #expect(throws: VerificationError.self) { try verifier.verify(path) }
    let text = error.map { "\($0)" } ?? ""
    #expect(!text.contains("\n"))
    return text
  }

  /// Our rule for weight decay sorts the reference's parameters into the reference's groups.
  @Test func decayRule() throws {
    let file = try ReferenceCase(reading: Golden.path("shared_07_adamw_deep_filter"))
    for group in try #require(file.description.groups) {
      for name in group.names {
        let shape = Shape(try #require(file.tensors.tensor("step0.param.\(name)")).shape)
        let parameter = ParameterBuilder(block: "p").root.parameter(name, shape, .zeros)
        #expect(parameter.decays == (group.weightDecay != 0), "\(name)")
      }
    }
  }
}

extension [UInt8] {
  fileprivate var floats: [Float] {
    stride(from: 0, to: count, by: 4).map { i in withUnsafeBytes { $0.loadUnaligned(fromByteOffset: i, as: Float.self) }
    }
  }

  fileprivate mutating func add(_ change: Float, at i: Int) {
    let sum = floats[i] + change
    withUnsafeMutableBytes { $0.storeBytes(of: sum, toByteOffset: 4 * i, as: Float.self) }
  }
}
