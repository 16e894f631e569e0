/// The values of a tensor to be written.
package enum TensorBytes: Sendable {
  case floats([Float])
  case uint32([UInt32])
  case int64([Int64])
  /// Little-endian bytes of any dtype.
  case raw([UInt8], SafeTensor.DType)

  var dtype: SafeTensor.DType {
    switch self {
    case .floats: .f32
    case .uint32: .u32
    case .int64: .i64
    case .raw(_, let dtype): dtype
    }
  }

  /// Numbers are stored as they lie in memory: every host Swift supports is little-endian.
  func withBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    switch self {
    case .floats(let values):
      try values.withUnsafeBufferPointer { values throws(Failure) in try body(UnsafeRawBufferPointer(values)) }
    case .uint32(let values):
      try values.withUnsafeBufferPointer { values throws(Failure) in try body(UnsafeRawBufferPointer(values)) }
    case .int64(let values):
      try values.withUnsafeBufferPointer { values throws(Failure) in try body(UnsafeRawBufferPointer(values)) }
    case .raw(let values, _):
      try values.withUnsafeBufferPointer { values throws(Failure) in try body(UnsafeRawBufferPointer(values)) }
    }
  }
}

extension Safetensors {
  /// Metadata key of the CRC-32 of the whole file, taken with its own eight digits as zeros.
  static let checksumKey = "graft.crc32"
  static let blankChecksum = [UInt8](repeating: UInt8(ascii: "0"), count: 8)

  /// Writes all or nothing. Equal arguments give equal bytes: tensors in the given order, metadata sorted by key.
  package static func write(
    _ tensors: [(name: String, shape: [Int], values: TensorBytes)], metadata: [String: String] = [:], to path: String
  ) throws(StorageError) {
    let (places, dataBytes) = try place(tensors, path: path)
    guard metadata[checksumKey] == nil else { throw .invalid("\(path): metadata \"\(checksumKey)\" is ours to write") }

    var header = [UInt8]("{\"__metadata__\":{\"\(checksumKey)\":\"".utf8)
    let checksumRange = 8 + header.count..<16 + header.count
    header += blankChecksum
    header += Array("\"".utf8)
    for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
      header += Array(",\(literal(key)):\(literal(value))".utf8)
    }
    header += Array("}".utf8)
    for (tensor, place) in zip(tensors, places) {
      let shape = tensor.shape.map(String.init).joined(separator: ",")
      header += Array(
        """
        ,\(literal(tensor.name)):{"dtype":"\(tensor.values.dtype.rawValue)","shape":[\(shape)],\
        "data_offsets":[\(place.lowerBound),\(place.upperBound)]}
        """.utf8)
    }
    header += Array("}".utf8)
    header += [UInt8](repeating: 0x20, count: (8 - header.count % 8) % 8)
    guard header.count <= SafetensorsHeader.maximumLength else {
      throw .invalid(
        "\(path): the header would take \(header.count) bytes, \(SafetensorsHeader.maximumLength) are allowed")
    }

    var start = withUnsafeBytes(of: UInt64(header.count).littleEndian) { [UInt8]($0) } + header
    var crc = CRC32()
    start.withUnsafeBytes { crc.add($0) }
    for tensor in tensors { tensor.values.withBytes { crc.add($0) } }
    start.replaceSubrange(checksumRange, with: crc.digits.utf8)

    try AtomicFile.write(to: path, expecting: start.count + dataBytes) { file throws(StorageError) in
      try file.write(start)
      for tensor in tensors {
        try tensor.values.withBytes { bytes throws(StorageError) in try file.write(bytes) }
      }
    }
  }

  /// The place of each tensor in the data, and the size of the data.
  private static func place(
    _ tensors: [(name: String, shape: [Int], values: TensorBytes)], path: String
  ) throws(StorageError) -> ([Range<Int>], Int) {
    var seen: Set<String> = ["__metadata__"]
    var places: [Range<Int>] = []
    var end = 0
    for tensor in tensors {
      guard seen.insert(tensor.name).inserted else {
        throw .invalid("\(path): tensor name \(StorageError.quoted(tensor.name)) is taken")
      }
      let count = tensor.values.withBytes { $0.count }
      guard tensor.shape.allSatisfy({ $0 >= 0 }),
        SafetensorsHeader.byteCount(shape: tensor.shape, dtype: tensor.values.dtype) == count
      else {
        let dtype = tensor.values.dtype.rawValue
        throw .invalid(
          "\(path): tensor \(StorageError.quoted(tensor.name)): \(count) bytes are not \(dtype) \(tensor.shape)")
      }
      places.append(end..<end + count)
      end += count
    }
    return (places, end)
  }

  /// A JSON string.
  private static func literal(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": result += "\\\(scalar)"
      case "\u{0}"..<" ":
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
