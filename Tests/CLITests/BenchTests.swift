import Foundation
import TestSupport
import Testing

/// `graft bench` as a process, at sizes that take no time: what it prints, not how fast anything is.
@Suite(.serialized, .enabled(if: TestDevice.isPresent, TestDevice.absence))
struct BenchTests {
  let scratch: TemporaryDirectory

  init() throws { scratch = try TemporaryDirectory() }

  private static let quick = ["--seconds", "0.01"]

  /// The rows that a bench prints as JSON.
  private func rows(_ arguments: String..., sourceLocation: SourceLocation = #_sourceLocation) throws -> [JSONRow] {
    let outcome = try Graft.start(["bench"] + arguments + Self.quick + ["--json"], in: scratch).wait()
    #expect(outcome.status == 0, "\(outcome)", sourceLocation: sourceLocation)
    return try outcome.output.split(separator: "\n").map { line in
      let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
      return JSONRow(values: try #require(object, sourceLocation: sourceLocation))
    }
  }

  private struct JSONRow {
    let values: [String: Any]
    func text(_ key: String) -> String { values[key] as? String ?? "" }
    func number(_ key: String) -> Double { values[key] as? Double ?? .nan }
    func isNull(_ key: String) -> Bool { values[key] is NSNull }
  }

  /// What programs rely on.
  private func expectRow(_ row: JSONRow, sourceLocation: SourceLocation = #_sourceLocation) {
    let keys = [
      "op", "case", "shape", "dtype", "family", "device", "driver", "commit", "median_ms", "min_ms", "spread", "cpu_ms",
      "gflops", "gbps", "peak_fraction", "max_error", "clock", "cold", "samples", "relative",
    ]
    #expect(keys.filter { row.values[$0] == nil } == [], sourceLocation: sourceLocation)
    for key in ["op", "case", "shape", "dtype", "family", "device", "driver", "commit"] {
      #expect(!row.text(key).isEmpty, "\(key)", sourceLocation: sourceLocation)
    }
    #expect(row.number("min_ms") > 0 && row.number("min_ms") <= row.number("median_ms"), sourceLocation: sourceLocation)
    #expect(["device", "host"].contains(row.text("clock")), sourceLocation: sourceLocation)
  }

  @Test func peak() throws {
    let rows = try rows("peak", "--plot", "roof.svg")
    for row in rows { expectRow(row) }
    let names = Set(rows.map { "\($0.text("op")) \($0.text("case"))" })
    #expect(
      names.isSuperset(of: ["fma f32", "bandwidth copy", "dispatch no barrier", "dispatch barrier between"]), "\(names)"
    )
    let fma = try #require(rows.first { $0.text("op") == "fma" })
    #expect(fma.number("gflops") > 0.1 && fma.isNull("gbps") && fma.number("peak_fraction") > 0.1)
    let picture = String(decoding: try scratch.bytes("roof.svg"), as: UTF8.self)
    #expect(picture.hasPrefix("<svg") && picture.hasSuffix("</svg>\n"))
  }

  @Test func matmul() throws {
    let rows = try rows("matmul", "--shape", "9x12x20", "--no-peak")
    let forms = rows.map { String($0.text("case").prefix(2)) }
    #expect(Set(forms) == ["nn", "nt", "tn"])
    for row in rows {
      expectRow(row)
      #expect(row.number("max_error") < 1e-5 && row.isNull("peak_fraction"))
      #expect(row.number("gflops") > 0 && row.text("shape") == "9x12x20")
    }
    // Ours first, with the ratio to each of the others, which depend on what is installed and on the device.
    let others = rows.filter { $0.text("case") == rows[0].text("case") }.dropFirst().map { $0.text("family") }
    let relative = try #require(rows[0].values["relative"] as? [String: Double])
    #expect(relative.keys.sorted() == others.sorted() && relative.values.allSatisfy { $0 > 0 })
  }

  @Test func ops() throws {
    let rows = try rows("ops", "--op", "layer_norm", "--shape", "5x12,12,12", "--no-peak", "--variants")
    #expect(!rows.isEmpty && rows.allSatisfy { $0.text("shape") == "[5, 12] [12] [12]" })
    for row in rows {
      expectRow(row)
      #expect(row.number("max_error") < 1e-5)
    }
    let cold = try self.rows("ops", "--op", "scale", "--cold", "--no-peak")
    #expect(cold.count == 1 && cold[0].values["cold"] as? Bool == true)
  }

  @Test func attention() throws {
    let rows = try rows("attention", "--shape", "B1H2T5D4", "--no-peak")
    #expect(rows.map { $0.text("case") } == ["B1H2T5D4 forward", "B1H2T5D4 forward+backward"])
    for row in rows { expectRow(row) }
    #expect(rows[0].number("max_error") < 1e-5 && rows[1].number("min_ms") > rows[0].number("min_ms"))
  }

  @Test func mixtureOfExperts() throws {
    let rows = try rows("moe", "--size", "12x8x16", "--experts", "3", "--layers", "2", "4", "--no-peak")
    for row in rows { expectRow(row) }
    #expect(rows.count { $0.text("op") == "grouped_matmul" } == 3 && rows.count { $0.text("op") == "matmul" } == 3)
    // Both sides of a comparison do the same work.
    let work = rows.prefix(6).map { $0.number("gflops") * $0.number("median_ms") }
    for pair in stride(from: 0, to: 6, by: 2) { #expect(abs(work[pair] / work[pair + 1] - 1) < 1e-3) }
    #expect(rows.suffix(2).map { $0.text("case") } == ["layer 12x8x16, 2 experts", "layer 12x8x16, 4 experts"])
  }

  @Test func step() throws {
    try scratch.writeRecipe()
    let rows = try rows("step", "recipe.yml", "--phase", "m2mKD", "--pairs", "1", "--no-peak")
    for row in rows where row.text("op") == "step" { expectRow(row) }
    let whole = try #require(rows.first)
    #expect(whole.text("op") == "step" && whole.text("case") == "m2mKD")
    let step = try #require(whole.values["step"] as? [String: Any])
    #expect(step["dispatches"] as? Int ?? 0 > 10 && step["host_ms"] as? Double ?? 0 > 0)
    #expect(rows.contains { $0.text("op") == "adamw" } && rows.contains { $0.text("op") == "grouped_matmul" })
  }

  @Test func circuitStep() throws {
    let rows = try rows("circuit", "mediator", "--no-peak", "--no-tune")
    let whole = try #require(rows.first)
    expectRow(whole)
    #expect(whole.text("op") == "step" && whole.text("case") == "mediator")
    // Stitches, projections, exit and feed-forward branch, three products each but for the input's gradient.
    #expect(abs(whole.number("gflops") * whole.number("median_ms") * 1e-3 - 7.35) < 0.02)
    #expect(rows.contains { $0.text("op") == "adamw" } && rows.contains { $0.text("op") == "modulation" })
  }

  @Test func comparison() throws {
    let outcome = try Graft.start(
      ["bench", "ops", "--op", "add", "--no-peak", "--json"] + Self.quick, in: scratch
    ).wait()
    #expect(outcome.status == 0, "\(outcome)")
    try scratch.write("a.json", Data(outcome.output.utf8))
    let same = try Graft.run("bench", "compare", "a.json", "a.json", in: scratch)
    #expect(same.status == 0 && same.output.contains("1.000x") && same.output.contains("within spread"), "\(same)")
    #expect(same.output.contains("0 faster, 0 slower") && !same.output.contains("only in"), "\(same)")
  }

  @Test func badInput() throws {
    func expect(_ arguments: [String], _ text: String, status: Int32 = 64) throws {
      expectRefusal(try Graft.start(["bench"] + arguments, in: scratch).wait(), text, status: status)
    }
    try expect(["matmul", "--shape", "12x5"], "'12x5' is invalid for '--shape")
    try expect(["matmul", "--shape", "0x5x5"], "'0x5x5' is invalid for '--shape")
    try expect(["matmul", "--form", "xx"], "'xx' is invalid for '--form")
    try expect(["matmul", "--against", "libnone.so"], "libnone.so cannot be loaded", status: 1)
    try expect(["ops", "--op", "walk"], "--op walk: no such op; there are accuracy, adamw")
    try expect(["ops", "--shape", "5"], "--shape goes with --op")
    try expect(["ops", "--op", "add", "--shape", "5"], "--shape 5: add takes other numbers of inputs: [2]")
    try expect(["ops", "--op", "add", "--shape", "5,6"], "--shape 5,6: add ")
    try expect(["ops", "--op", "add", "--shape", "99999999x99999999x99999999,5"], "more than 268435456 elements")
    try expect(["matmul", "--shape", "1000000x1000000x1"], "a tensor [1000000, 1000000] has more than")
    try expect(["attention", "--shape", "8x12"], "'8x12' is invalid for '--shape")
    try expect(["moe", "--top", "9"], "--top 9 of 8 experts")
    try expect(["ops", "--seconds", "0"], "--seconds 0.0: expected more than 0")
    try expect(["ops", "--plot", "x.svg", "--no-peak"], "leave out --no-peak")
    try expect(["step", "none.yml"], "none.yml: cannot be read", status: 1)
    try expect(["compare", "none.json", "none.json"], "none.json: cannot be read", status: 1)
    try scratch.write("other.json", Data("{\"op\": \"add\"}\n".utf8))
    try expect(["compare", "other.json", "other.json"], "other.json:1: no 'case'", status: 1)
    try scratch.write("text.json", Data("hello\n".utf8))
    try expect(["compare", "text.json", "text.json"], "text.json:1: no JSON object", status: 1)
    try scratch.write("empty.json", Data())
    try expect(["compare", "empty.json", "empty.json"], "empty.json: no rows", status: 1)
  }
}
