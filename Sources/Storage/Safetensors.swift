import Foundation

/// One tensor of a `Safetensors` file; its bytes stay in the mapped file.
package struct SafeTensor: Sendable {
  package enum DType: String, Sendable, CaseIterable {
    case f64 = "F64"
    case f32 = "F32"
    case f16 = "F16"
    case bf16 = "BF16"
    case i64 = "I64"
    case i32 = "I32"
    case u32 = "U32"
    case u8 = "U8"
    case bool = "BOOL"

    package var size: Int {
      switch self {
      case .f64, .i64: 8
      case .f32, .i32, .u32: 4
      case .f16, .bf16: 2
      case .u8, .bool: 1
      }
    }
  }

  package let dtype: DType
  package let shape: [Int]
  let file: MappedFile
  let range: Range<Int>

  /// Row-major, little-endian, not necessarily aligned; the pointer is valid during `body` only.
  package func withBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try file.withBytes(range, body)
  }

  package var bytes: [UInt8] { withBytes { [UInt8]($0) } }
}

/// Named tensors in one file: https://huggingface.co/docs/safetensors (format, as of 0.5).
///
/// Bytes 0..<8 hold the header's length N (little-endian), 8..<8+N a JSON object that names each tensor's dtype, shape
/// and place, and the rest is the data without gaps. Files written here carry a CRC-32 of the whole file.
package struct Safetensors: Sendable {
  package let path: String
  /// In the order of their data.
  package let names: [String]
  /// The `__metadata__` of the header, without our checksum.
  package let metadata: [String: String]
  private let tensors: [String: SafeTensor]

  /// Maps the file and checks all of it: header, places of the tensors, and the checksum where there is one.
  package init(reading path: String) throws(StorageError) {
    let file = try MappedFile(path)
    let header = try SafetensorsHeader(of: file)
    var metadata = header.metadata
    let checksum = metadata.removeValue(forKey: Safetensors.checksumKey)
    if let checksum, let offset = header.checksumOffset, file.count >= offset + 8 {
      var crc = CRC32()
      file.withBytes(0..<offset) { crc.add($0) }
      Safetensors.blankChecksum.withUnsafeBytes { crc.add($0) }
      file.withBytes(offset + 8..<file.count) { crc.add($0) }
      guard crc.digits == checksum else {
        throw .corrupt(
          path: path,
          detail: "CRC-32 of the file is \(crc.digits), its header says \(StorageError.quoted(checksum))")
      }
    }
    self.path = path
    self.metadata = metadata
    names = header.entries.map(\.name)
    let data = header.dataOffset
    tensors = header.entries.reduce(into: [:]) { tensors, entry in
      let range = entry.offsets.lowerBound + data..<entry.offsets.upperBound + data
      tensors[entry.name] = SafeTensor(dtype: entry.dtype, shape: entry.shape, file: file, range: range)
    }
  }

  package func tensor(_ name: String) -> SafeTensor? { tensors[name] }

  /// Every dtype; what Float cannot hold is rounded to the nearest.
  package func floats(_ name: String) throws(StorageError) -> [Float] {
    let tensor = try existing(name)
    return tensor.withBytes { bytes in
      switch tensor.dtype {
      case .f64: convert(bytes) { (value: Double) in Float(value) }
      case .f32: convert(bytes) { (value: Float) in value }
      case .f16: convert(bytes) { (value: Float16) in Float(value) }
      case .bf16: convert(bytes) { (value: UInt16) in Float(bitPattern: UInt32(value) << 16) }
      case .i64: convert(bytes) { (value: Int64) in Float(value) }
      case .i32: convert(bytes) { (value: Int32) in Float(value) }
      case .u32: convert(bytes) { (value: UInt32) in Float(value) }
      case .u8, .bool: convert(bytes) { (value: UInt8) in Float(value) }
      }
    }
  }

  /// Every dtype; only large I64 are rounded.
  package func doubles(_ name: String) throws(StorageError) -> [Double] {
    let tensor = try existing(name)
    switch tensor.dtype {
    case .f64: return tensor.withBytes { convert($0) { (value: Double) in value } }
    case .f32, .f16, .bf16: return try floats(name).map(Double.init)
    case .i64, .i32, .u32, .u8, .bool: return try integers(name).map(Double.init)
    }
  }

  /// The integer dtypes and BOOL (0 and 1).
  package func integers(_ name: String) throws(StorageError) -> [Int] {
    let tensor = try existing(name)
    return try tensor.withBytes { bytes throws(StorageError) in
      switch tensor.dtype {
      case .i64: return convert(bytes) { (value: Int64) in Int(value) }
      case .i32: return convert(bytes) { (value: Int32) in Int(value) }
      case .u32: return convert(bytes) { (value: UInt32) in Int(value) }
      case .u8, .bool: return convert(bytes) { (value: UInt8) in Int(value) }
      case .f64, .f32, .f16, .bf16:
        throw .unsupported(
          path: path, detail: "tensor \(StorageError.quoted(name)) holds \(tensor.dtype.rawValue), not integers")
      }
    }
  }

  private func existing(_ name: String) throws(StorageError) -> SafeTensor {
    guard let tensor = tensors[name] else { throw .noTensor(name: name, path: path, available: names.count) }
    return tensor
  }
}

private func convert<Stored: BitwiseCopyable, Element>(
  _ bytes: UnsafeRawBufferPointer, _ element: (Stored) -> Element
) -> [Element] {
  stride(from: 0, to: bytes.count, by: MemoryLayout<Stored>.stride).map {
    element(bytes.loadUnaligned(fromByteOffset: $0, as: Stored.self))
  }
}
