import GPU
import Graph
import Testing

@testable import Ops

@Suite struct MatmulTilesTests {
  private func variants(
    _ m: Int, _ n: Int, _ k: Int, _ transposing: Transposition = .none,
    _ change: (inout DeviceTraits) -> Void = { _ in }
  ) throws -> [Variant] {
    var traits = DeviceTraits(subgroupSize: 32, isSoftware: false)
    change(&traits)
    let graph = Graph()
    let a = graph.input("a", transposing == .left ? [k, m] : [m, k])
    let b = graph.input("b", transposing == .right ? [n, k] : [k, n])
    let program = Program(graph, results: [try a.matmul(b, transposing: transposing)])
    return program.nodes[0].op.variants(program.site(of: program.nodes[0], traits: traits))
  }

  @Test func largestTileThatFillsTheDevice() throws {
    #expect(try variants(4096, 4096, 4096).map(\.name) == ["tiles 128", "tiles 64", "tiles 32"])
    #expect(try variants(2176, 768, 64)[0].name == "tiles 64")
    #expect(try variants(2176, 64, 64)[0].name == "tiles 32")
    // A tenth of the tile would be used.
    #expect(try variants(4096 * 16, 12, 64)[0].name == "tiles 32")
  }

  @Test func tilesGiveWayToLimits() throws {
    #expect(try variants(4096, 4096, 64) { $0.hasLargeRegisterFile = false }[0].name == "tiles 64")
    #expect(try variants(4096, 4096, 64) { $0.sharedMemoryBytes = 16_384 }[0].name == "tiles 64")
    #expect(try variants(4096, 4096, 64) { $0.maxWorkgroupInvocations = 64 }.map(\.name) == ["tiles 32"])
  }

  /// Matrix units come first where a run may use them; every matrix of a tile has one subgroup.
  @Test func matrixUnitsShareATile() throws {
    #expect(
      try variants(4096, 4096, 64) { $0.matrixUnit = MatrixUnit(m: 16, n: 16, k: 16) }.map(\.name)
        == ["matrix 128", "matrix 64", "matrix 32", "tiles 128", "tiles 64", "tiles 32"])
    let units = [(16, 16, 16), (16, 8, 16), (8, 8, 8), (8, 16, 16), (32, 32, 8)].map(MatrixUnit.init)
    for unit in units {
      for lanes in [8, 16, 32, 64] {
        for size in [32, 64, 128] {
          var traits = DeviceTraits(subgroupSize: lanes, isSoftware: false, matrixUnit: unit)
          traits.sharedMemoryBytes = 1 << 20
          let matrices = size * size / unit.m / unit.n
          guard let tile = TileOfMatrices(size, traits) else {
            #expect(matrices < 2 * size / lanes || lanes > 2 * size, "\(unit), \(lanes) lanes, \(size)")
            continue
          }
          let along = tile.subgroupsAlongN
          #expect(tile.subgroups == 2 * size / lanes && tile.subgroups % along == 0)
          #expect(size / unit.n % along == 0 && size / unit.m % (tile.subgroups / along) == 0)
        }
      }
    }
  }

  /// Attention by matrix units: the default for many tokens; where its rows do not fit in shared memory another variant runs.
  @Test func attentionByMatrixUnits() throws {
    func names(_ tokens: Int, _ channels: Int, lanes: Int = 32) throws -> [String] {
      let graph = Graph()
      let qkv = graph.input("qkv", [2, tokens, 3 * 2 * channels])
      let op = Program(graph, results: [try qkv.attention(heads: 2)]).nodes[0].op
      let traits = DeviceTraits(subgroupSize: lanes, isSoftware: false, matrixUnit: MatrixUnit(m: 16, n: 16, k: 16))
      let outputs = try op.infer([qkv.type])
      let site = LaunchSite(inputs: [qkv.type], outputs: outputs, traits: traits)
      return op.variants(site).filter { $0.misfit(op, site) == nil }.map(\.name)
    }
    #expect(try names(197, 64).first == "matrix")
    #expect(try names(17, 64).last == "matrix")
    // Eight subgroups' sums do not fit where their scores were.
    for others in [try names(197, 256), try names(197, 64, lanes: 16)] {
      #expect(!others.isEmpty && !others.contains("matrix"))
    }
  }

  /// A weight gradient has few tiles and a long sum.
  @Test func longSumsAreCut() throws {
    let launch = try variants(64, 64, 65_536, .left)[0].launch
    #expect(launch.dispatches.map(\.source.name) == ["matmul_tiles", "sum_partials"])
    #expect(launch.dispatches[0].groups.z > 32)
  }
}
