import GPU
import Graph
import NN

/// Asks the host before each step of a task what only it can work out: a small plan of its own, outside the recorded step.
struct Consultant {
  private let consultation: Consultation
  private let plan: Plan
  private let count: Int

  /// - Parameter blocks: of the task.
  init(
    _ consultation: Consultation, blocks: [String: Buffer], frozen: Set<String>, device: Device, choices: Choices
  ) throws(RunError) {
    self.consultation = consultation
    (plan, count) = try attempt { () throws(any Error) in
      let program = try consultation.program()
      let layout = PlanLayout(program, traits: device.traits, choices: choices, frozen: frozen)
      return (try Plan(layout, on: device, blocks: blocks), program.results.count)
    }
  }

  /// Inputs of the next step; no step may be in flight.
  func inputs() throws(VulkanError) -> [String: [UInt32]] {
    let run = try plan.run()
    var results: [[Float]] = []
    for i in 0..<count { results.append(try run.floats(i)) }
    return consultation.inputs(results)
  }
}

extension Consultation {
  func program() throws(ShapeError) -> Program {
    let graph = Graph()
    let pass = Forward(graph, training: true, state: StepState.input(in: graph), stream: "consultation")
    return Program(graph, results: try results(pass))
  }
}
