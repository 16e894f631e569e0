import Foundation
import Testing

@testable import Storage

@Suite struct StorageAtomicFileTests {
  let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  @Test func replacesTheWholeFile() throws {
    let path = try directory.file("model", [1, 2, 3, 4])
    try AtomicFile.write(to: path) { file throws(StorageError) in
      try file.write([UInt8(5)])
      try file.write([Float(1)])
      #expect(file.written == 5)
    }
    #expect(try bytes(of: path) == [5, 0, 0, 128, 63])
    #expect(try directory.names == ["model"])
  }

  @Test func failureLeavesTheOldFile() throws {
    let path = try directory.file("model", [1])
    let error = storageError(naming: "injected") {
      try AtomicFile.write(to: path) { file throws(StorageError) in
        try file.write([UInt8](repeating: 9, count: 1 << 16))
        throw .invalid("injected")
      }
    }
    #expect(error == .invalid("injected"))
    #expect(try bytes(of: path) == [1])
    #expect(try directory.names == ["model"])
  }

  @Test func unwritablePlacesAreNamed() throws {
    let path = "\(directory.path)/absent/model"
    let error = storageError(naming: path) { try AtomicFile.write(to: path) { _ in } }
    #expect(error == .system(action: "create", path: path, code: ENOENT))
    // A directory stands where the file should go: the rename fails, the temporary goes.
    let taken = try directory.file("taken")
    try FileManager.default.createDirectory(atPath: taken + "/inner", withIntermediateDirectories: true)
    #expect(storageError(naming: taken) { try AtomicFile.write(to: taken) { _ in } } != nil)
    #expect(try directory.names == ["taken"])
  }

  @Test func relativePathsWork() throws {
    let name = "graft-relative-\(UInt64.random(in: 0...UInt64.max))"
    defer { unlink(name) }
    try AtomicFile.write(to: name) { file throws(StorageError) in try file.write([UInt8(1)]) }
    #expect(try bytes(of: name) == [1])
  }

  /// /dev/full answers every write with ENOSPC.
  @Test func fullDeviceSaysSo() throws {
    let descriptor = open("/dev/full", O_WRONLY)
    defer { close(descriptor) }
    var writer = FileWriter(descriptor: descriptor, path: "model", expecting: 5 << 20)
    do throws(StorageError) {
      try writer.write([UInt8(1)])
      Issue.record("written")
    } catch {
      #expect(error == .noSpace(path: "model", bytes: 5 << 20))
      #expect(
        error.description.hasPrefix("no space left on device while writing model (needs about 5 MiB)"), "\(error)")
    }
  }

  /// The real thing, where a file system may be mounted.
  @Test func fullDiskLeavesTheOldFile() throws {
    guard mount("tmpfs", directory.path, "tmpfs", 0, "size=256k") == 0 else {
      try Test.cancel("mounting a tmpfs is not permitted here (errno \(errno))")
    }
    defer { umount2(directory.path, Int32(MNT_DETACH)) }
    let path = try directory.file("model")
    let small = [(name: "a", shape: [4], values: TensorBytes.floats([1, 2, 3, 4]))]
    let large = [(name: "a", shape: [1 << 20], values: TensorBytes.floats([Float](repeating: 1, count: 1 << 20)))]
    try Safetensors.write(small, to: path)
    guard case .noSpace(path, let bytes) = storageError(naming: path, { try Safetensors.write(large, to: path) }) else {
      Issue.record("not reported as a full disk")
      return
    }
    #expect(bytes > 4 << 20 && bytes < 4 << 20 + 1000)
    #expect(try Safetensors(reading: path).floats("a") == [1, 2, 3, 4])
    #expect(try directory.names == ["model"])
  }

  @Test func fileSizeLimitLeavesTheOldFile() async throws {
    let path = try directory.file("model", [1])
    await #expect(processExitsWith: .success) { [path = path as String] in
      signal(SIGXFSZ, SIG_IGN)
      var limit = rlimit(rlim_cur: 100_000, rlim_max: 100_000)
      setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
      do throws(StorageError) {
        try AtomicFile.write(to: path) { file throws(StorageError) in
          try file.write([UInt8](repeating: 9, count: 200_000))
        }
      } catch {
        exit(error == .system(action: "write", path: path, code: EFBIG) ? 0 : 2)
      }
      exit(1)
    }
    #expect(try bytes(of: path) == [1])
    #expect(try directory.names == ["model"])
  }

  /// Killed in the middle, it leaves the old file and a temporary, which the next write removes.
  @Test func killLeavesTheOldFile() async throws {
    let path = try directory.file("model", [1])
    await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
      try AtomicFile.write(to: path) { file throws(StorageError) in
        try file.write([UInt8](repeating: 9, count: 200_000))
        kill(getpid(), SIGKILL)
      }
    }
    #expect(try bytes(of: path) == [1])
    #expect(try directory.names.count == 2)
    // One in the middle of its write is not mistaken for a leftover.
    try AtomicFile.write(to: path) { file throws(StorageError) in
      try AtomicFile.write(to: path) { file throws(StorageError) in try file.write([UInt8(2)]) }
      try file.write([UInt8(3)])
    }
    #expect(try bytes(of: path) == [3])
    #expect(try directory.names == ["model"])
  }
}
