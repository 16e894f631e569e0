/// The validated header of a safetensors file: what it names lies in the file, without gaps or overlaps.
struct SafetensorsHeader {
  struct Entry {
    let name: String
    let dtype: SafeTensor.DType
    let shape: [Int]
    /// Relative to `dataOffset`.
    let offsets: Range<Int>
  }

  /// The reference implementation's limit.
  static let maximumLength = 100_000_000

  /// In the order of their data.
  let entries: [Entry]
  let metadata: [String: String]
  let dataOffset: Int
  /// Where in the file the eight digits of our checksum are.
  let checksumOffset: Int?

  init(of file: MappedFile) throws(StorageError) {
    let path = file.path
    guard file.count >= 8 else {
      throw .truncated(path: path, detail: "\(file.count) bytes, where the header's length alone takes 8")
    }
    let (length, start) = file.withBytes { bytes in
      (UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self)), [UInt8](bytes.prefix(9)))
    }
    // A header begins with "{"; asked first, because any other file has some number in its first 8 bytes too.
    guard start.count < 9 || start[8] == UInt8(ascii: "{"), length >= 2 else {
      let found = start.prefix(8).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
      throw .foreign(path: path, expected: "a safetensors file", found: "it begins with bytes \(found)")
    }
    guard length <= UInt64(Self.maximumLength) else {
      throw .corrupt(path: path, detail: "a header of \(length) bytes (at most \(Self.maximumLength) are allowed)")
    }
    dataOffset = 8 + Int(length)
    guard file.count >= dataOffset else {
      throw .truncated(path: path, detail: "a header of \(length) bytes in a file of \(file.count)")
    }
    var parser = HeaderParser(text: file.withBytes(8..<dataOffset) { [UInt8]($0) }, path: path)
    try parser.parse()
    metadata = parser.metadata
    checksumOffset = parser.checksumOffset.map { $0 + 8 }
    entries = parser.entries.sorted {
      ($0.offsets.lowerBound, $0.offsets.upperBound) < ($1.offsets.lowerBound, $1.offsets.upperBound)
    }
    try Self.check(entries, dataBytes: file.count - dataOffset, path: path)
  }

  private static func check(_ entries: [Entry], dataBytes: Int, path: String) throws(StorageError) {
    var end = 0
    for entry in entries {
      let name = StorageError.quoted(entry.name)
      let (begin, next) = (entry.offsets.lowerBound, entry.offsets.upperBound)
      let bytes = byteCount(shape: entry.shape, dtype: entry.dtype)
      guard let bytes, bytes == next - begin else {
        let needs = bytes.map { "needs \($0)" } ?? "overflows"
        throw .corrupt(
          path: path,
          detail: "tensor \(name): \(entry.dtype.rawValue) \(entry.shape) \(needs), its place has \(next - begin) bytes"
        )
      }
      guard begin == end else {
        let kind = begin < end ? "overlaps the tensor before it, which ends" : "leaves a gap after the data that ends"
        throw .corrupt(path: path, detail: "tensor \(name) begins at \(begin) and \(kind) at \(end)")
      }
      guard next <= dataBytes else {
        throw .truncated(path: path, detail: "tensor \(name) ends at \(next) of \(dataBytes) bytes of data")
      }
      end = next
    }
    guard end == dataBytes else {
      throw .corrupt(path: path, detail: "\(dataBytes - end) bytes after the last tensor")
    }
  }

  /// Nil where the count overflows.
  static func byteCount(shape: [Int], dtype: SafeTensor.DType) -> Int? { (shape + [dtype.size]).product }
}

extension [Int] {
  /// Nil where it overflows.
  package var product: Int? {
    // A zero first: [2^62, 2^62, 0] is empty, not an overflow.
    if contains(0) { return 0 }
    var product = 1
    for factor in self {
      let (next, overflow) = product.multipliedReportingOverflow(by: factor)
      guard !overflow else { return nil }
      product = next
    }
    return product
  }
}

/// Reads the JSON subset of a header (RFC 8259 strings, natural numbers, no nesting beyond the format's). A parser of
/// our own because general decoders keep one of two equal keys in silence.
private struct HeaderParser {
  let text: [UInt8]
  let path: String
  var position = 0
  var entries: [SafetensorsHeader.Entry] = []
  var metadata: [String: String] = [:]
  var checksumOffset: Int?

  init(text: [UInt8], path: String) {
    self.text = text
    self.path = path
  }

  mutating func parse() throws(StorageError) {
    var seen: Set<String> = []
    try object { (parser: inout HeaderParser, name) throws(StorageError) in
      guard seen.insert(name).inserted else { throw parser.broken("\(StorageError.quoted(name)) is there twice") }
      if name == "__metadata__" { try parser.parseMetadata() } else { try parser.parseTensor(name) }
    }
    skipSpace()
    guard position == text.count else { throw broken("text after its end") }
  }

  private mutating func parseMetadata() throws(StorageError) {
    try object { (parser: inout HeaderParser, key) throws(StorageError) in
      parser.skipSpace()
      let start = parser.position + 1
      let value = try parser.string()
      guard parser.metadata.updateValue(value, forKey: key) == nil else {
        throw parser.broken("metadata \(StorageError.quoted(key)) is there twice")
      }
      if key == Safetensors.checksumKey { parser.checksumOffset = start }
    }
  }

  private mutating func parseTensor(_ name: String) throws(StorageError) {
    var dtype: String?
    var shape: [Int]?
    var offsets: [Int]?
    try object { (parser: inout HeaderParser, key) throws(StorageError) in
      switch key {
      case "dtype" where dtype == nil: dtype = try parser.string()
      case "shape" where shape == nil: shape = try parser.integers()
      case "data_offsets" where offsets == nil: offsets = try parser.integers()
      default:
        let key = StorageError.quoted(key)
        throw parser.broken("tensor \(StorageError.quoted(name)) has \(key), unknown or twice")
      }
    }
    guard let dtype, let shape, let offsets, offsets.count == 2, offsets[0] <= offsets[1] else {
      throw broken("tensor \(StorageError.quoted(name)) lacks a dtype, a shape, or a pair of rising data_offsets")
    }
    guard let known = SafeTensor.DType(rawValue: dtype) else {
      let names = SafeTensor.DType.allCases.map(\.rawValue).joined(separator: ", ")
      throw .unsupported(
        path: path,
        detail:
          "tensor \(StorageError.quoted(name)) has dtype \(StorageError.quoted(dtype)); convert it to one of \(names)")
    }
    entries.append(.init(name: name, dtype: known, shape: shape, offsets: offsets[0]..<offsets[1]))
  }

  // MARK: JSON

  private func broken(_ what: String) -> StorageError {
    .corrupt(path: path, detail: "header, byte \(position): \(what)")
  }

  private mutating func skipSpace() {
    while position < text.count, [0x20, 0x09, 0x0a, 0x0d].contains(text[position]) { position += 1 }
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    skipSpace()
    guard position < text.count, text[position] == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  private mutating func expect(_ character: Unicode.Scalar) throws(StorageError) {
    guard take(character) else { throw broken("expected \(character)") }
  }

  private mutating func object(
    _ member: (inout HeaderParser, String) throws(StorageError) -> Void
  ) throws(StorageError) {
    try expect("{")
    if take("}") { return }
    repeat {
      let key = try string()
      try expect(":")
      try member(&self, key)
    } while take(",")
    try expect("}")
  }

  private mutating func integers() throws(StorageError) -> [Int] {
    try expect("[")
    if take("]") { return [] }
    var values: [Int] = []
    repeat {
      skipSpace()
      let start = position
      var value = 0
      while position < text.count, case let digit = text[position], (0x30...0x39).contains(digit) {
        let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
        let (sum, carry) = tens.addingReportingOverflow(Int(digit - 0x30))
        guard !overflow, !carry else { throw broken("a number beyond 64 bits") }
        value = sum
        position += 1
      }
      guard position > start else { throw broken("expected a natural number") }
      values.append(value)
    } while take(",")
    try expect("]")
    return values
  }

  private mutating func string() throws(StorageError) -> String {
    try expect("\"")
    var units: [UInt8] = []
    while position < text.count, text[position] != UInt8(ascii: "\"") {
      guard text[position] >= 0x20 else { throw broken("a control character in a string") }
      if text[position] == UInt8(ascii: "\\") {
        position += 1
        try units.append(contentsOf: Array(String(escape()).utf8))
      } else {
        units.append(text[position])
        position += 1
      }
    }
    try expect("\"")
    guard let string = String(validating: units, as: UTF8.self) else { throw broken("a string that is not UTF-8") }
    return string
  }

  private mutating func escape() throws(StorageError) -> Unicode.Scalar {
    guard position < text.count else { throw broken("an escape cut off") }
    position += 1
    switch Unicode.Scalar(text[position - 1]) {
    case "\"": return "\""
    case "\\": return "\\"
    case "/": return "/"
    case "b": return "\u{8}"
    case "f": return "\u{c}"
    case "n": return "\n"
    case "r": return "\r"
    case "t": return "\t"
    case "u":
      var code = try hexadecimal()
      if 0xd800..<0xdc00 ~= code, text[position...].starts(with: [0x5c, 0x75]) {
        position += 2
        let low = try hexadecimal()
        guard 0xdc00..<0xe000 ~= low else { throw broken("half a surrogate pair") }
        code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
      }
      guard let scalar = Unicode.Scalar(code) else { throw broken("half a surrogate pair") }
      return scalar
    default: throw broken("an unknown escape")
    }
  }

  private mutating func hexadecimal() throws(StorageError) -> UInt32 {
    let digits = text[position...].prefix(4)
    let isHexadecimal = digits.allSatisfy { Character(Unicode.Scalar($0)).isHexDigit }
    guard digits.count == 4, isHexadecimal, let value = UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
    else { throw broken("expected four hexadecimal digits") }
    position += 4
    return value
  }
}
