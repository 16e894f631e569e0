import CSPNG
import CTurboJPEG
import Foundation
import Storage

extension Picture {
  /// More pixels than any photograph has: a damaged header promises memory that is not there.
  private static let mostPixels = 1 << 27

  /// Red, green and blue of a JPEG or PNG file, told by its first bytes and not by its name: ImageNet has a PNG called
  /// `.JPEG`. As in the reference's loader (Pillow's `convert("RGB")`), grey becomes three equal channels, transparency is
  /// dropped, Adobe's inverted CMYK is multiplied out, and a camera's note of how it was held (EXIF) is ignored.
  ///
  /// - Throws: `StorageError` naming the file; one that ends early is truncated, as Pillow has it, whatever can be seen of it.
  package init(reading path: String) throws(StorageError) {
    let file = try MappedFile(path)
    self = try file.withBytes { (bytes) throws(StorageError) in
      if bytes.starts(with: [0xff, 0xd8, 0xff]) { return try Picture(jpeg: bytes, path) }
      if bytes.starts(with: [0x89, 0x50, 0x4e, 0x47]) { return try Picture(png: bytes, path) }
      let found = bytes.prefix(4).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
      throw .foreign(
        path: path, expected: "a JPEG or PNG image",
        found: bytes.isEmpty ? "it is empty" : "it begins with \(found), not ff d8 ff or 89 50 4e 47")
    }
  }

  private init(jpeg data: UnsafeRawBufferPointer, _ path: String) throws(StorageError) {
    guard let decoder = tjInitDecompress() else { throw .invalid("libjpeg-turbo: \(String(cString: tjGetErrorStr()))") }
    defer { tjDestroy(decoder) }
    var message: String { String(cString: tjGetErrorStr2(decoder)) }
    let start = data.baseAddress?.assumingMemoryBound(to: UInt8.self)
    var (width, height, sampling, colors): (Int32, Int32, Int32, Int32) = (0, 0, 0, 0)
    guard tjDecompressHeader3(decoder, start, UInt(data.count), &width, &height, &sampling, &colors) == 0 else {
      throw .corrupt(path: path, detail: message)
    }
    let pixels = try Picture.pixels(Int(height), Int(width), path)
    let isCMYK = colors == Int32(TJCS_CMYK.rawValue) || colors == Int32(TJCS_YCCK.rawValue)
    var bytes = [UInt8](repeating: 0, count: pixels * (isCMYK ? 4 : 3))
    let format = isCMYK ? TJPF_CMYK : TJPF_RGB
    let status = tjDecompress2(
      decoder, start, UInt(data.count), &bytes, width, 0, height, format.rawValue, TJFLAG_ACCURATEDCT)
    // Pillow, too, takes a picture that libjpeg only warns of, as of stray bytes between segments, unless its end is missing.
    // The library's own word for what was an error says "warning" as soon as there was one before it.
    if status != 0, !["Corrupt JPEG data: ", "Warning: "].contains(where: message.hasPrefix) {
      throw message.hasPrefix("Premature end of JPEG file")
        ? .truncated(path: path, detail: message) : .corrupt(path: path, detail: message)
    }
    if isCMYK { bytes = Picture.multipliedOut(bytes) }
    self.init(height: Int(height), width: Int(width), channels: 3, bytes: bytes)
  }

  private init(png data: UnsafeRawBufferPointer, _ path: String) throws(StorageError) {
    guard let decoder = spng_ctx_new(0) else { throw .system(action: "decode", path: path, code: ENOMEM) }
    defer { spng_ctx_free(decoder) }
    func check(_ status: Int32) throws(StorageError) {
      guard status != 0 else { return }
      let message = String(cString: spng_strerror(status))
      throw status == Int32(SPNG_IO_EOF.rawValue)
        ? .truncated(path: path, detail: message) : .corrupt(path: path, detail: message)
    }
    try check(spng_set_png_buffer(decoder, data.baseAddress, data.count))
    var header = spng_ihdr()
    try check(spng_get_ihdr(decoder, &header))
    let (height, width) = (Int(header.height), Int(header.width))
    var bytes = [UInt8](repeating: 0, count: 3 * (try Picture.pixels(height, width, path)))
    try check(spng_decode_image(decoder, &bytes, bytes.count, Int32(SPNG_FMT_RGB8.rawValue), 0))
    self.init(height: height, width: width, channels: 3, bytes: bytes)
  }

  private static func pixels(_ height: Int, _ width: Int, _ path: String) throws(StorageError) -> Int {
    let (pixels, overflows) = height.multipliedReportingOverflow(by: width)
    guard pixels > 0, !overflows, pixels <= mostPixels else {
      throw .corrupt(path: path, detail: "\(height) x \(width) pixels, where up to \(mostPixels) are read")
    }
    return pixels
  }

  /// Light that passes cyan, magenta and yellow, and then black, all stored as what they let through.
  private static func multipliedOut(_ inks: [UInt8]) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: inks.count / 4 * 3) { bytes, count in
      for pixel in 0..<inks.count / 4 {
        let black = Int(inks[4 * pixel + 3])
        for channel in 0..<3 {
          // As Pillow rounds: what the ink takes away is rounded, not what it leaves.
          let taken = (255 - Int(inks[4 * pixel + channel])) * black + 128
          bytes[3 * pixel + channel] = UInt8(max(0, black - ((taken >> 8) + taken) >> 8))
        }
      }
      count = inks.count / 4 * 3
    }
  }
}
