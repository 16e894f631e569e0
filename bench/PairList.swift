import ArgumentParser
import Distillation

extension PhaseName: ExpressibleByArgument {}

/// Teaching pairs on the command line, e.g. `0,2`.
package struct PairList: ExpressibleByArgument, Sendable {
  package let text: String

  package init?(argument: String) { text = argument }

  /// The pairs of `recipe` that are listed.
  package func numbers(of recipe: Recipe) throws -> [Int] {
    let numbers = text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) ?? -1 }
    guard Set(numbers).count == numbers.count, numbers.allSatisfy({ 0..<recipe.pairs ~= $0 }) else {
      let example = recipe.pairs > 1 ? "0,\(recipe.pairs - 1)" : "0"
      throw ValidationError(
        "--pairs \(text): expected different numbers from 0 to \(recipe.pairs - 1), e.g. \(example)")
    }
    return numbers
  }
}
