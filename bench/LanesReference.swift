import GPU
import Ops
import Tuning

/// A matmul kernel made for one driver, lavapipe, as a mark to measure ours by: it is given packed operands and knows no
/// epilogue (`shaders/lanes_reference.comp`).
struct LanesReference {
  let contender: Contender
  /// C [M, N] as it computed it.
  let product: [Float]

  private static let rows = 32
  private static let vectors = 2

  /// Packs op(a) and op(b), and runs once.
  /// - Throws: `BenchError` with the reason where this device or shape is none for the kernel.
  init(
    _ shape: MatmulShape, _ transposing: Transposition, _ a: [Float], _ b: [Float], on device: Device
  ) throws(BenchError) {
    let (m, n, k, lanes) = (shape.m, shape.n, shape.k, device.traits.subgroupSize)
    guard device.traits.isSoftware, lanes == 8 || lanes == 16 else {
      throw BenchError("it is for software devices with subgroups of 8 or 16")
    }
    guard n % 4 == 0, k % 4 == 0 else { throw BenchError("it wants N and K to be multiples of 4, not \(shape)") }
    do {
      let columns = 4 * lanes * Self.vectors
      let (rowTiles, columnTiles) = ((m + Self.rows - 1) / Self.rows, (n + columns - 1) / columns)
      // [row tile][K / 4][row][4 of K], and [column tile][K][column]; what lies beyond the edges is zero.
      var left = [Float](repeating: 0, count: rowTiles * Self.rows * k)
      for i in 0..<m {
        for l in 0..<k {
          let place = ((i / Self.rows * (k / 4) + l / 4) * Self.rows + i % Self.rows) * 4 + l % 4
          left[place] = a[transposing == .left ? l * m + i : i * k + l]
        }
      }
      var right = [Float](repeating: 0, count: columnTiles * columns * k)
      for l in 0..<k {
        for j in 0..<n {
          right[(j / columns * k + l) * columns + j % columns] = b[transposing == .right ? j * k + l : l * n + j]
        }
      }
      func buffer(_ values: [Float], _ label: String) throws -> BufferSlice {
        let slice = try device.makeBuffer(bytes: 4 * values.count, kind: .device, label: label).whole
        try values.withUnsafeBytes { try device.upload($0, to: slice) }
        return slice
      }
      let (x, y) = (try buffer(left, "packed left"), try buffer(right, "packed right"))
      let c = try device.makeBuffer(bytes: 4 * m * n, kind: .device, label: "product").whole
      let kernel = try device.benchKernel(
        "lanes_reference_\(lanes)", PackageResources.lanes_reference_comp, defining: ["PACKED", "S \(lanes)"])
      let commands = try device.record { recorder throws(VulkanError) in
        try recorder.dispatch(
          kernel, [.texels(x, .rgba32f), .texels(y, .rgba32f), .buffer(c)],
          push: [m, n, k].flatMap { pushBytes(Int32($0)) }, groups: (UInt32(columnTiles), UInt32(rowTiles), 1))
      }
      contender = try Contender("lanes_reference", [commands], on: device)
      var product = [Float](repeating: 0, count: m * n)
      try product.withUnsafeMutableBytes { try device.download(c, into: $0) }
      self.product = product
    } catch {
      throw BenchError("\(error)")
    }
  }
}
