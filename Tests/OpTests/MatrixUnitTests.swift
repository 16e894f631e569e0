import GPU
import Graph
import Ops
import TestSupport
import Testing

/// What matrix units do with numbers that f16 does not have (`include/matmul_matrix.glsl`).
@Suite(.enabled(if: TestDevice.hasMatrixUnits, TestDevice.noMatrixUnits))
struct MatrixUnitTests {
  /// C = A^T B of a [3, 4] gradient A and a [3, 4] B whose first row alone is not zero.
  private func products(_ gradient: [Double]) throws -> [Double] {
    let test = try #require(Matmul.cases.first { $0.name == "gradient on the left" })
    let inputs = [
      HostTensor([3, 4], gradient + [Double](repeating: 0, count: 8)),
      HostTensor([3, 4], [1] + [Double](repeating: 0, count: 11)),
    ]
    let device = try TestDevice.mixed.get()
    let types = inputs.map(\.type)
    let site = LaunchSite(inputs: types, outputs: try test.op.infer(types), traits: device.traits)
    let variant = try #require(test.op.variants(site).first { $0.name == "matrix 32" })
    let run = try GuardedRun(test.op, variant.launch, inputs, on: device, poison: 0)
    let numbers = numbers(try #require(run.results.first), .f32)
    return stride(from: 0, to: 16, by: 4).map { numbers[$0] }
  }

  /// f16 itself ends at 6e-8 and has three digits down to 6e-5.
  @Test func smallGradientsKeepTheirDigits() throws {
    let gradient = [3.333e-8, -1.234e-7, 5.67e-6, 1e-3]
    for (product, expected) in zip(try products(gradient), gradient) {
      #expect(abs(product - expected) < 1e-3 * abs(expected), "\(product), not \(expected)")
    }
  }

  @Test func largeGradientsAreCutAndWhatIsNotFiniteStays() throws {
    let cut = try products([1e3, -20, 15.5, 0])
    #expect(cut == [65504.0 / 4096, -65504.0 / 4096, 15.5, 0])
    let broken = try products([.infinity, .nan, 1, 2])
    #expect(!broken[0].isFinite && broken[1].isNaN)
  }
}
