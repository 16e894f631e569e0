import Graph
import Ops
import Testing

@testable import Bench

struct BenchNullTests {
  private func row(_ op: String, _ median: Double, family: String = "default", device: String = "A") -> Row {
    Row(
      op: op, case: "c", shape: "[1]", family: family, device: device, driver: "d", commit: "1",
      medianMilliseconds: median, minMilliseconds: median, spread: 0.1, clock: "device", samples: 3)
  }

  @Test func rowsAreMatchedByWork() {
    let before = [row("add", 1), row("mul", 1), row("gone", 1), row("two", 1), row("two", 2, family: "other")]
    let after = [
      row("add", 1.1), row("mul", 2, family: "fast"), row("new", 1, device: "B"), row("two", 3, family: "other"),
    ]
    let comparison = Comparison(before, after)
    let pairs = Dictionary(uniqueKeysWithValues: comparison.pairs.map { ($0.before.op, $0) })
    #expect(pairs.keys.sorted() == ["add", "mul", "two"])
    #expect(pairs["add"]?.isOutsideSpread == false && pairs["mul"]?.isOutsideSpread == true)
    #expect(pairs["mul"]?.speedup == 0.5 && pairs["mul"]?.remark == "default -> fast")
    #expect(pairs["two"]?.before.medianMilliseconds == 2)
    #expect(comparison.onlyBefore.map(\.op) == ["gone", "two"] && comparison.onlyAfter.map(\.op) == ["new"])
    let text = comparison.text("a", "b")
    #expect(text.contains("SLOWER (default -> fast)") && text.contains("only in a: gone") && text.contains("2 slower"))
  }

  /// Rows that nothing else sets apart are not matched at random.
  @Test func ambiguousRowsStay() {
    let comparison = Comparison([row("a", 1), row("a", 2)], [row("a", 1), row("a", 2)])
    #expect(comparison.pairs.isEmpty && comparison.onlyBefore.count == 2 && comparison.onlyAfter.count == 2)
  }

  @Test func rooflineHoldsItsPoints() {
    var fast = row("a<b", 1)
    (fast.gflops, fast.gbps) = (90, 2)
    let svg = Roofline(title: "t", peak: Peak(gflops: 100, gbps: 10), rows: [fast, row("apart", 1)]).svg
    #expect(svg.contains("a&lt;b") && !svg.contains("apart") && !svg.contains("nan") && !svg.contains("inf"))
    #expect(svg.contains("measured peak 100 GFLOP/s, bandwidth 10 GB/s"))
  }

  /// Contents are made for every site, and no two cases of an op have one name.
  @Test func sitesOfSteps() throws {
    let cases = try OpSites.all().flatMap(\.cases)
    for opCase in cases {
      _ = try opCase.op.infer(opCase.inputs.map(\.type))
      #expect(opCase.op.fills(opCase.inputs.map(\.type)).count == opCase.inputs.count, "\(opCase.name)")
    }
    let names = cases.map { "\($0.op.name) \($0.name) \($0.inputs.map(\.type))" }
    let repeated = Dictionary(grouping: names, by: { $0 }).filter { $1.count > 1 }.keys.sorted()
    #expect(repeated == [])
    let met = Set(cases.map(\.op.name))
    for hot in ["matmul", "grouped_matmul", "attention", "attention_backward", "layer_norm", "gelu", "adamw", "route"] {
      #expect(met.contains(hot), "\(hot)")
    }
  }
}
