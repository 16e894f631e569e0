import Foundation

/// What is compared, and how closely it has to agree.
package enum Quantity: String, CaseIterable, Sendable {
  case logits, intermediates, losses, gradients, parameters, norms, indices, schedule, signatures

  package var tolerance: Double {
    switch self {
    case .logits, .intermediates: 1e-4
    case .losses: 1e-5
    case .gradients: 1e-4
    // Rounding a parameter near 4 costs 2.4e-7, and a step does so a few times.
    case .parameters: 1e-6
    case .norms: 1e-5
    case .indices: 0
    case .schedule: 1e-12
    case .signatures: 1e-5
    }
  }

  /// Whether the error is a fraction of the largest element of the tensor.
  package var isRelative: Bool { self == .gradients || self == .norms }

  /// Gradients of which no element reaches this are compared as if one did: below it, what is left of f32 sums that cancel
  /// would be taken for a difference.
  static let smallestScale = 1e-4
}

/// One tensor that was recomputed.
package struct Comparison: Sendable {
  package let quantity: Quantity
  package let tensor: String
  /// The largest difference, as a fraction of the largest element where the quantity is relative; infinite for NaN.
  package let error: Double

  package var passes: Bool { error <= quantity.tolerance }

  /// - Parameter slack: how far each element may be off in addition.
  init(_ quantity: Quantity, _ tensor: String, expected: [Double], actual: [Double], slack: [Double]? = nil) {
    precondition(expected.count == actual.count, "\(tensor): \(actual.count) elements for \(expected.count)")
    let scale =
      quantity.isRelative ? max(expected.reduce(0) { max($0, abs($1)) }, Quantity.smallestScale) : 1
    var worst = 0.0
    for i in expected.indices {
      let difference = abs(expected[i] - actual[i]) - (slack?[i] ?? 0)
      worst = difference.isNaN ? .infinity : max(worst, difference)
    }
    self.quantity = quantity
    self.tensor = tensor
    error = worst / scale
  }
}

/// The outcome of one case.
package struct CaseReport: Sendable {
  package let name: String
  package let comparisons: [Comparison]
  /// Tensors of the file that were neither read nor compared.
  package let leftOver: [String]
  /// Whether the file only holds what other cases are given, no results.
  package let isFrame: Bool

  /// A result that nobody recomputed is no success.
  package var passes: Bool {
    (!comparisons.isEmpty || isFrame) && leftOver.isEmpty && comparisons.allSatisfy(\.passes)
  }

  /// A line for the case, then one for each quantity with its largest error.
  package var text: String {
    let head = "\(passes ? "PASS" : "FAIL") \(name): \(comparisons.count) tensors"
    let lines = Quantity.allCases.compactMap { quantity -> String? in
      let all = comparisons.filter { $0.quantity == quantity }
      guard let worst = all.max(by: { $0.error < $1.error }) else { return nil }
      let bound = String(format: quantity.isRelative ? "%.0e of the largest element" : "%.0e", quantity.tolerance)
      let outside = all.count { !$0.passes }
      return "  " + quantity.rawValue.padding(toLength: 14, withPad: " ", startingAt: 0)
        + String(format: "largest error %.1e, allowed ", worst.error) + bound + ", in " + worst.tensor
        + (outside > 0 ? "; \(outside) of \(all.count) tensors outside" : "")
    }
    let rest = leftOver.isEmpty ? [] : ["  not compared, unknown to the model: \(leftOver.joined(separator: ", "))"]
    return ([head] + lines + rest).joined(separator: "\n")
  }
}
