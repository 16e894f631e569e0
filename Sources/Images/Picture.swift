/// An image of bytes, row-major, the channels of a pixel side by side: (height, width, channels).
package struct Picture: Sendable, Equatable {
  package let height: Int
  package let width: Int
  package let channels: Int
  package internal(set) var bytes: [UInt8]

  package init(height: Int, width: Int, channels: Int, bytes: [UInt8]) {
    precondition(bytes.count == height * width * channels, "\(bytes.count) for \(height) x \(width) x \(channels)")
    self.height = height
    self.width = width
    self.channels = channels
    self.bytes = bytes
  }

  /// - Parameter planes: (channels, height, width)
  init(height: Int, width: Int, planes: ArraySlice<UInt8>) {
    let size = height * width
    let channels = planes.count / size
    let bytes = [UInt8](unsafeUninitializedCapacity: planes.count) { bytes, count in
      planes.withUnsafeBufferPointer { planes in
        for pixel in 0..<size {
          for channel in 0..<channels { bytes[pixel * channels + channel] = planes[channel * size + pixel] }
        }
      }
      count = planes.count
    }
    self.init(height: height, width: width, channels: channels, bytes: bytes)
  }

  /// (channels, height, width)
  package var planes: [UInt8] {
    [UInt8](unsafeUninitializedCapacity: bytes.count) { planes, count in
      let size = height * width
      bytes.withUnsafeBufferPointer { bytes in
        for channel in 0..<channels {
          for pixel in 0..<size { planes[channel * size + pixel] = bytes[pixel * channels + channel] }
        }
      }
      count = bytes.count
    }
  }

  func cropped(_ box: Box) -> Picture {
    guard box != Box(top: 0, left: 0, height: height, width: width) else { return self }
    var part: [UInt8] = []
    part.reserveCapacity(box.height * box.width * channels)
    for y in box.top..<box.top + box.height {
      let start = (y * width + box.left) * channels
      part += bytes[start..<start + box.width * channels]
    }
    return Picture(height: box.height, width: box.width, channels: channels, bytes: part)
  }

  /// In the middle of a larger picture whose border is black.
  func padded(by border: Int) -> Picture {
    let across = width + 2 * border
    var larger = [UInt8](repeating: 0, count: (height + 2 * border) * across * channels)
    for y in 0..<height {
      let (from, to) = (y * width * channels, ((y + border) * across + border) * channels)
      larger.replaceSubrange(to..<to + width * channels, with: bytes[from..<from + width * channels])
    }
    return Picture(height: height + 2 * border, width: across, channels: channels, bytes: larger)
  }

  /// Left and right exchanged.
  var mirrored: Picture {
    var result = self
    for pixel in 0..<height * width {
      let (y, x) = pixel.quotientAndRemainder(dividingBy: width)
      let from = (y * width + width - 1 - x) * channels
      for channel in 0..<channels { result.bytes[pixel * channels + channel] = bytes[from + channel] }
    }
    return result
  }
}

/// A rectangle of pixels.
struct Box: Equatable {
  var top: Int
  var left: Int
  var height: Int
  var width: Int
}
