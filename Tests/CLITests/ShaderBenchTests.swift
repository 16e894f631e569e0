import Foundation
import GPU
import TestSupport
import Testing

@Suite(.enabled(if: TestDevice.isPresent, TestDevice.absence))
struct ShaderBenchTests {
  private let directory: TemporaryDirectory

  init() throws {
    directory = try TemporaryDirectory()
    try write("axpy.comp", ShaderBenchTests.axpy)
  }

  private static let axpy = """
    #version 450
    layout(local_size_x_id = 0) in;
    layout(constant_id = 0) const uint WIDTH = 64;
    layout(binding = 0) readonly buffer X_ { float X[]; };
    layout(binding = 1) buffer Y_ { float Y[]; };
    layout(push_constant) uniform Push { uint n; float a; };
    void main() {
      uint i = gl_GlobalInvocationID.x;
      if (i < n) Y[i] = a * X[i] + Y[i];
    }
    """

  private func write(_ name: String, _ text: String) throws { try directory.write(name, Data(text.utf8)) }

  private func write(_ name: String, replacing old: String, by new: String) throws {
    #expect(Self.axpy.contains(old))
    try write(name, Self.axpy.replacingOccurrences(of: old, with: new))
  }

  private func start(_ arguments: [String]) throws -> Running {
    let device = TestDevice.name.map { ["--device", $0] } ?? []
    return try Graft.start(
      ["bench", "shader"] + arguments + device + ["--no-peak", "--seconds", "0.01"], in: directory)
  }

  private func run(_ arguments: String) throws -> Graft.Outcome {
    try start(arguments.split(separator: " ").map(String.init)).wait()
  }

  private static let buffers = "--buffer f32:1000:normal --buffer f32:1000:one"
  private static let good = "\(buffers) --push int:1000,float:2.5 --groups 16"

  // MARK: Good shaders

  @Test func equalShadersAgree() throws {
    let outcome = try run(
      "axpy.comp \(Self.good) --against axpy.comp --against-constant WIDTH=32 --against-groups 32 --flops 2000 --json")
    #expect(outcome.status == 0, "\(outcome)")
    #expect(outcome.errors.contains("buffer 1 (Y): equal"))
    let rows = try outcome.output.split(separator: "\n").map {
      try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
    #expect(rows.map { $0["case"] as? String } == ["16x1x1 groups", "32x1x1 groups"])
    let first = try #require(rows.first)
    #expect(first["max_error"] as? Double == 0)
    let milliseconds = try #require(first["median_ms"] as? Double)
    // X is read; Y is read and written.
    let gbps = try #require(first["gbps"] as? Double)
    #expect(abs(gbps * milliseconds / (12_000 * 1e-6) - 1) < 1e-3)
    let gflops = try #require(first["gflops"] as? Double)
    #expect(abs(gflops * milliseconds / (2000 * 1e-6) - 1) < 1e-3)
  }

  @Test func differencesAreFound() throws {
    try write("other.comp", replacing: "a * X[i]", by: "(i == 700 ? a + 1.0 : a) * X[i]")
    let outcome = try run("axpy.comp \(Self.good) --against other.comp")
    #expect(outcome.status == 0, "\(outcome)")
    #expect(outcome.output.contains("buffer 1 (Y): largest difference"))
    #expect(outcome.output.contains("at element 700"))
  }

  @Test func texelsIncludesAndVectorsAreTaken() throws {
    try FileManager.default.createDirectory(atPath: directory.file("lib"), withIntermediateDirectories: true)
    try write("lib/twice.glsl", "vec4 twice(vec4 x) { return 2 * x; }")
    try write(
      "texels.comp",
      """
      #version 450
      #extension GL_GOOGLE_include_directive : require
      #extension GL_EXT_samplerless_texture_functions : require
      #include "twice.glsl"
      layout(local_size_x = 64) in;
      layout(binding = 0) uniform textureBuffer X;
      layout(binding = 1, rgba32f) uniform writeonly imageBuffer Y;
      layout(push_constant) uniform Push { vec3 shift; };
      void main() {
        int i = int(gl_GlobalInvocationID.x);
        if (i < textureSize(X)) imageStore(Y, i, twice(texelFetch(X, i)) + vec4(shift, 0));
      }
      """)
    let buffers = "--buffer f32:1024:index:rgba32f --buffer f32:1024:zero"
    let outcome = try run("texels.comp \(buffers) --push 1,2,3 --groups 4 --include lib")
    #expect(outcome.status == 0, "\(outcome)")
    #expect(!outcome.output.contains("warning"))
  }

  // MARK: What is refused before anything runs

  @Test(arguments: [
    ("axpy.comp --buffer f32:1000:normal --push 1000,2 --groups 16", "was given 1 times; missing: Y"),
    ("axpy.comp \(buffers) --buffer f32:9:zero --push 1000,2 --groups 16", "1 too many"),
    ("axpy.comp \(buffers) --push 1000 --groups 16", "2 push constants (n uint, a float), --push gives 1"),
    ("axpy.comp \(buffers) --groups 16", "--push gives 0"),
    ("axpy.comp \(buffers) --push 1000,two --groups 16", "push constant a is float"),
    ("axpy.comp \(buffers) --push float:1000,2 --groups 16", "push constant n is uint"),
    ("axpy.comp \(good) --constant 7=1", "declares only 0 WIDTH"),
    ("axpy.comp \(good) --constant 0=wide", "WIDTH is uint"),
    ("axpy.comp \(good) --constant WIDTH=1000000", "workgroup size in x: asked 1000000"),
    ("axpy.comp \(buffers) --push 1000,2 --groups 1,4294967295", "groups in y"),
    ("axpy.comp --buffer f32:1000:normal:r32f --buffer f32:1000:one --push 1,2 --groups 1", "(X) is a storage buffer"),
    ("axpy.comp \(good) --against none.comp", "none.comp:1: error: cannot be read"),
  ])
  func badArgumentsAreNamed(arguments: String, message: String) throws {
    expectRefusal(try run(arguments), message, status: 1)
  }

  @Test(arguments: ["--groups 0", "--groups 1,1,1,1", "--groups 16 --buffer f33:1:zero", "--groups 16 --limit 0"])
  func badOptionsAreUsageErrors(arguments: String) throws {
    expectRefusal(try run("axpy.comp \(arguments)"), "--", status: 64)
  }

  @Test func errorsOfTheCompilerHaveFileAndLine() throws {
    try write("bad.comp", replacing: "Y[i] = a", by: "nowhere = a")
    expectRefusal(try run("bad.comp \(Self.good)"), "bad.comp:9: error: 'nowhere' : undeclared identifier", status: 1)
    try write("lib.glsl", "float f() { return 1 }")
    try write(
      "bad.comp",
      "#version 450\n#extension GL_GOOGLE_include_directive : require\n#include \"lib.glsl\"\nvoid main() {}")
    expectRefusal(try run("bad.comp --groups 1"), "lib.glsl:1: error: ", status: 1)
  }

  @Test func sharedMemoryAndTypesAreCheckedBeforeAPipelineIsMade() throws {
    try write(
      "shared.comp", replacing: "void main() {",
      by: "shared float tile[WIDTH * 100000];\nvoid main() { tile[gl_LocalInvocationIndex] = 1;")
    expectRefusal(try run("shared.comp \(Self.good)"), "bytes of shared memory: asked 25600000", status: 1)
    try write("double.comp", replacing: "a * X[i]", by: "float(double(a) * double(X[i]))")
    expectRefusal(try run("double.comp \(Self.good)"), "64-bit floats", status: 1)
  }

  // MARK: What goes wrong while it runs

  @Test func writesOutOfBoundsAreErrors() throws {
    // 16 groups of 64 are 1024 invocations for 1000 elements.
    try write("wild.comp", replacing: "if (i < n) ", by: "")
    let outcome = try run("wild.comp \(Self.good)")
    expectRefusal(outcome, "writes out of bounds: behind buffer 1 (Y, 1000 elements) 96 bytes", status: 1)
    #expect(outcome.errors.contains("first at element 1000"))
  }

  @Test func readsOutOfBoundsAreTold() throws {
    try write("curious.comp", replacing: "X[i]", by: "X[i + 1]")
    let outcome = try run("curious.comp \(Self.good)")
    #expect(outcome.status == 0, "\(outcome)")
    #expect(outcome.output.contains("warning: Y depends on what lies behind a buffer"))
  }

  /// Drivers that cut long loops still have all these groups to run.
  private func writeHang() throws -> String {
    try write(
      "hang.comp",
      """
      #version 450
      layout(local_size_x = 8) in;
      layout(binding = 0) buffer Y_ { uint Y[]; };
      void main() {
        uint x = Y[0];
        for (uint i = 0; i != 4000000000u; i++) x = x * 1664525u + (x >> 7) + i;
        Y[gl_LocalInvocationIndex] = x;
      }
      """)
    return "hang.comp --buffer u32:8:zero --groups 65535,65535"
  }

  @Test func aHangIsEnded() throws {
    let outcome = try run("\(try writeHang()) --limit 0.5")
    expectRefusal(outcome, "no end of the first run of hang.comp after 0.5 s: killed", status: 1)
  }

  @Test func aCrashOfTheDriverIsTold() throws {
    let running = try start("\(try writeHang()) --limit 20".split(separator: " ").map(String.init))
    var child: Int32?
    while running.isRunning, child == nil { child = running.children.first }
    running.wait(for: "device:")
    // One of the signals that a child of this process does not find blocked.
    kill(try #require(child), SIGSEGV)
    expectRefusal(running.wait(), "the driver crashed in", status: 1)
  }
}
