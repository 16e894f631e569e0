import Foundation
import Ops

/// `cblas_sgemm`, looked up at run time: something to compare with, no dependency.
struct OpenBLAS {
  typealias SGEMM =
    @convention(c) (
      Int32, Int32, Int32, Int32, Int32, Int32, Float, UnsafePointer<Float>, Int32, UnsafePointer<Float>, Int32, Float,
      UnsafeMutablePointer<Float>, Int32
    ) -> Void
  let library: String
  private let sgemm: SGEMM

  init(_ library: String) throws(BenchError) {
    self.library = library
    guard let handle = dlopen(library, RTLD_NOW), let symbol = dlsym(handle, "cblas_sgemm") else {
      throw BenchError("\(library) cannot be loaded, or has no cblas_sgemm: run tools/setup.sh --bench")
    }
    sgemm = unsafeBitCast(symbol, to: SGEMM.self)
  }

  /// c [M, N] = op(a) op(b), as `Matmul` lays them out.
  func multiply(_ form: Transposition, _ size: MatmulShape, _ a: [Float], _ b: [Float], into c: inout [Float]) {
    let (rowMajor, plain, transposed) = (Int32(101), Int32(111), Int32(112))
    sgemm(
      rowMajor, form == .left ? transposed : plain, form == .right ? transposed : plain, Int32(size.m), Int32(size.n),
      Int32(size.k), 1, a, Int32(form == .left ? size.m : size.k), b, Int32(form == .right ? size.k : size.n), 0, &c,
      Int32(size.n))
  }
}
