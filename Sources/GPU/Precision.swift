/// What products are computed in; everything else is f32 with both.
package enum Precision: String, Sendable, CaseIterable {
  case f32
  /// Factors rounded to f16 for the device's matrix units, sums in f32; as `f32` where a device has none.
  case mixed
}
