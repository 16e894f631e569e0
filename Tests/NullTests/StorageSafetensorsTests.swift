import Foundation
import Testing

@testable import Storage

@Suite struct StorageSafetensorsTests {
  let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  /// A file from a header text, padded as asked, and data.
  private func file(_ header: String, data: [UInt8] = [], length: UInt64? = nil) throws -> String {
    let length = length ?? UInt64(header.utf8.count)
    return try directory.file(
      "hand.safetensors", (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + Array(header.utf8) + data)
  }

  private func error(_ header: String, data: [UInt8] = [], length: UInt64? = nil) throws -> StorageError? {
    let path = try file(header, data: data, length: length)
    return storageError(naming: path) { _ = try Safetensors(reading: path) }
  }

  private func sample(_ name: String = "sample.safetensors") throws -> String {
    let path = try directory.file(name)
    try Safetensors.write(
      [
        ("blocks.0.weight", [2, 3], .floats([1, -2, 0.5, .infinity, -0.0, 0x1p-140])),
        ("step", [], .int64([1 << 40])),
        ("mask", [3], .raw([1, 0, 1], .bool)),
        ("counter", [2], .uint32([0, .max])),
        ("none", [0, 4], .floats([])),
        ("naïve \"name\"\n\u{1F600}", [1], .raw([7], .u8)),
      ], metadata: ["phase": "m2mKD", "a\\b": "\t"], to: path)
    return path
  }

  @Test func roundTrip() throws {
    let path = try sample()
    let file = try Safetensors(reading: path)
    #expect(file.names == ["blocks.0.weight", "step", "mask", "counter", "none", "naïve \"name\"\n\u{1F600}"])
    #expect(file.metadata == ["phase": "m2mKD", "a\\b": "\t"])
    #expect(
      try file.floats("blocks.0.weight").map(\.bitPattern)
        == [1, -2, 0.5, .infinity, -0.0, 0x1p-140].map { (x: Float) in x.bitPattern })
    #expect(file.tensor("blocks.0.weight")?.shape == [2, 3])
    #expect(file.tensor("blocks.0.weight")?.dtype == .f32)
    #expect(file.tensor("step")?.shape == [])
    #expect(try file.integers("step") == [1 << 40])
    #expect(try file.integers("counter") == [0, Int(UInt32.max)])
    #expect(try file.floats("mask") == [1, 0, 1])
    #expect(try file.floats("none") == [])
    #expect(file.tensor("naïve \"name\"\n\u{1F600}")?.bytes == [7])
    #expect(file.tensor("absent") == nil)
  }

  @Test func equalArgumentsGiveEqualBytes() throws {
    #expect(try bytes(of: sample("a")) == bytes(of: sample("b")))
    let start = try bytes(of: sample())
    #expect(start.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) } % 8 == 0)
  }

  /// Bits taken from the IEEE 754 and bfloat16 definitions.
  @Test func everyDTypeConverts() throws {
    let cases: [(String, [UInt8], [Float])] = [
      ("F64", [0, 0, 0, 0, 0, 0, 0xf8, 0x3f], [1.5]), ("F32", [0, 0, 0xc0, 0x3f], [1.5]),
      ("F16", [0, 0x3e, 1, 0, 0, 0xfc], [1.5, 0x1p-24, -.infinity]),
      ("BF16", [0xc0, 0x3f, 0x80, 0xff], [1.5, -.infinity]),
      ("I64", [0xfe, 255, 255, 255, 255, 255, 255, 255], [-2]), ("I32", [0xfe, 255, 255, 255], [-2]),
      ("U32", [0, 0, 0, 0x80], [2_147_483_648]), ("U8", [255, 1], [255, 1]), ("BOOL", [1, 0], [1, 0]),
    ]
    #expect(Set(cases.map(\.0)) == Set(SafeTensor.DType.allCases.map(\.rawValue)))
    for (dtype, data, values) in cases {
      let path = try file(
        #"{"t":{"dtype":"\#(dtype)","shape":[\#(values.count)],"data_offsets":[0,\#(data.count)]}}"#, data: data)
      let file = try Safetensors(reading: path)
      #expect(try file.floats("t") == values)
      #expect(try file.doubles("t") == values.map(Double.init))
      if dtype.contains("F") {
        #expect(storageError(naming: "\"t\" holds \(dtype)") { _ = try file.integers("t") } != nil)
      } else {
        #expect(try file.integers("t") == values.map { Int($0) })
      }
    }
  }

  @Test func readsWhatOthersWrite() throws {
    // Padding, escapes, keys in another order, tensors not in the order of their data, no metadata.
    let path = try file(
      """
      { "b\\u00e9\\ud83d\\ude00\\/" : {"data_offsets":[4,6],"shape":[2],"dtype":"U8"},
      "a":{"dtype":"F32","shape":[],"data_offsets":[0,4]} }      
      """, data: [0, 0, 128, 63, 8, 9])
    let file = try Safetensors(reading: path)
    #expect(file.names == ["a", "bé\u{1F600}/"])
    #expect(try file.floats("a") == [1])
    #expect(try file.integers("bé\u{1F600}/") == [8, 9])
    #expect(try Safetensors(reading: self.file("{}")).names.isEmpty)
  }

  @Test func missingTensorAndFileAreNamed() throws {
    let path = try sample()
    let file = try Safetensors(reading: path)
    #expect(
      storageError(naming: path) { _ = try file.floats("head.bias") }
        == .noTensor(name: "head.bias", path: path, available: 6))
    let absent = try directory.file("absent.safetensors")
    #expect(storageError(naming: absent) { _ = try Safetensors(reading: absent) }?.isMissing == true)
    #expect(storageError(naming: directory.path) { _ = try Safetensors(reading: directory.path) } != nil)
  }

  /// Each cut, at every byte of the file.
  @Test func everyTruncationIsNoticed() throws {
    let whole = try bytes(of: sample())
    for count in 0..<whole.count {
      let path = try directory.file("cut", Array(whole.prefix(count)))
      let error = storageError(naming: path) { _ = try Safetensors(reading: path) }
      #expect(error?.isTruncated == true, "\(count) bytes: \(error.map(String.init(describing:)) ?? "accepted")")
    }
    let path = try directory.file("long", whole + [0])
    #expect(storageError(naming: path) { _ = try Safetensors(reading: path) }?.isCorrupt == true)
  }

  /// Each bit flip is an error, but for those in the checksum's own name, which leave every tensor as it was.
  @Test func everyBitFlipIsNoticed() throws {
    let small = try directory.file("small")
    try Safetensors.write([("w", [2], .floats([1, 2]))], to: small)
    let whole = try bytes(of: small)
    let key = Array(Safetensors.checksumKey.utf8)
    let keyStart = try #require(whole.indices.first { whole[$0...].starts(with: key) })
    for bit in 0..<8 * whole.count where !(keyStart..<keyStart + key.count).contains(bit / 8) {
      var flipped = whole
      flipped[bit / 8] ^= 1 << (bit % 8)
      let path = try directory.file("flipped", flipped)
      #expect(storageError(naming: path) { _ = try Safetensors(reading: path) } != nil, "bit \(bit)")
    }
  }

  @Test func foreignFilesAreNamed() throws {
    for start: [UInt8] in [Array("PK\u{3}\u{4}, a zip archive".utf8), [0x80, 2] + [UInt8](repeating: 0x8a, count: 30)] {
      let path = try directory.file("foreign", start)
      #expect(storageError(naming: path) { _ = try Safetensors(reading: path) }?.isForeign == true)
    }
    #expect(try error("{}", length: 100_000_001)?.isCorrupt == true)
    #expect(try error("{}", length: .max)?.isCorrupt == true)
    #expect(try error("{}", length: 3)?.isTruncated == true)
  }

  @Test(arguments: [
    // Offsets
    (
      #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[3,7]}}"#,
      "overlaps"
    ),
    (
      #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[3],"data_offsets":[5,8]}}"#,
      "gap"
    ),
    (#"{"a":{"dtype":"U8","shape":[7],"data_offsets":[1,8]}}"#, "gap"),
    (#"{"a":{"dtype":"U8","shape":[7],"data_offsets":[0,7]}}"#, "1 bytes after"),
    (#"{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}"#, "truncated"),
    (#"{"a":{"dtype":"U8","shape":[8],"data_offsets":[8,0]}}"#, "rising"),
    (#"{"a":{"dtype":"U8","shape":[8],"data_offsets":[8]}}"#, "pair"),
    // Shapes
    (#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, "needs 12"),
    (#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#, "overflows"),
    (#"{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#, "natural number"),
    (#"{"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,8]}}"#, "64 bits"),
    // Names and keys
    (
      #"{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"a":{"dtype":"U8","shape":[0],"data_offsets":[8,8]}}"#,
      "twice"
    ),
    (#"{"a":{"dtype":"U8","dtype":"U8","shape":[8],"data_offsets":[0,8]}}"#, "twice"),
    (#"{"__metadata__":{"x":"1","x":"2"},"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}"#, "twice"),
    (#"{"a":{"shape":[8],"data_offsets":[0,8]}}"#, "lacks"),
    (#"{"a":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]}}"#, "F8_E4M3"),
    // JSON
    (#"{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}} x"#, "after its end"),
    (#"{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}"#, "expected }"),
    (#"{"a":{"dtype":"U8","shape":[8,],"data_offsets":[0,8]}}"#, "natural number"),
    (#"{"\ud800":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}"#, "surrogate"),
    (#"{"\q":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}"#, "escape"),
    (#"{"__metadata__":{"x":1}}"#, "expected \""),
    (#"{""#, "expected \""), (#"{"\u12"#, "hexadecimal"), (#"{"\"#, "escape"),
  ]) func brokenHeaders(header: String, says: String) throws {
    let error = try #require(try error(header, data: [UInt8](repeating: 0, count: 8)))
    #expect("\(error)".contains(says), "\(error)")
  }

  @Test func writerRefusesWhatItCouldNotReadBack() throws {
    let path = try directory.file("refused")
    let attempts: [[(name: String, shape: [Int], values: TensorBytes)]] = [
      [("a", [2], .floats([1]))], [("a", [-1, -1], .floats([1]))], [("a", [1], .raw([1, 2], .f32))],
      [("a", [1], .floats([1])), ("a", [1], .floats([1]))], [("__metadata__", [1], .floats([1]))],
    ]
    for tensors in attempts {
      #expect(storageError(naming: path) { try Safetensors.write(tensors, to: path) } != nil)
    }
    #expect(storageError(naming: path) { try Safetensors.write([], metadata: ["graft.crc32": ""], to: path) } != nil)
    #expect(try directory.names == [])
  }
}
