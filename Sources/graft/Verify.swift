import ArgumentParser
import Foundation
import GPU
import Verification

struct Verify: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Recompute cases of the reference implementation on the device and compare.",
    discussion: """
      A case is a JSON file (sizes and settings) with a safetensors file of the same name beside it (parameters, inputs, \
      results). Exits with 1 if a result is outside its tolerance, with 2 if a case cannot be used.
      """)

  @Argument(help: "JSON files of cases, or directories of them.") var cases: [String]
  @OptionGroup var options: DeviceOptions
  @OptionGroup var tuning: TuningOptions

  func run() throws {
    let device = try options.open(tuning.width)
    let verifier = Verifier(device: device, choices: tuning.choices(on: device))
    var outcome = Outcome()
    for path in cases {
      var isDirectory: ObjCBool = false
      if FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), isDirectory.boolValue {
        do throws(VerificationError) {
          let found = try Verifier.cases(in: path)
          if found.isEmpty { outcome.fails("\(path): no cases: no .json with a .safetensors beside it") }
          for path in found { outcome.add(path, verifier, isNamed: false) }
        } catch {
          outcome.fails("\(error)")
        }
      } else {
        outcome.add(path, verifier, isNamed: true)
      }
    }
    print(
      "\(outcome.passed) passed, \(outcome.failed) failed, \(outcome.unusable) unusable, \(outcome.skipped) skipped")
    if outcome.unusable > 0 { throw ExitCode(2) }
    if outcome.failed > 0 { throw ExitCode(1) }
  }
}

private struct Outcome {
  var (passed, failed, unusable, skipped) = (0, 0, 0, 0)

  /// - Parameter isNamed: whether the case was asked for, so that it may not be skipped.
  mutating func add(_ path: String, _ verifier: Verifier, isNamed: Bool) {
    do throws(VerificationError) {
      let report = try verifier.verify(path)
      print(report.text)
      if report.passes { passed += 1 } else { failed += 1 }
    } catch {
      if case .unsupported = error {
        print("\(isNamed ? "FAIL" : "skipped") unsupported: \(error)")
        if isNamed { failed += 1 } else { skipped += 1 }
      } else {
        fails("\(error)")
      }
    }
  }

  mutating func fails(_ message: String) {
    unusable += 1
    FileHandle.standardError.write(Data("error: \(message)\n".utf8))
  }
}
