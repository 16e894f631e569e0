import GPU
import Kernels

/// Everything about a plan that can be decided without a device: launches, placement in memory, cost. Pure.
package struct PlanLayout: Sendable {
  /// Where a value's bytes are.
  package enum Place: Sendable {
    case arena(offset: Int)
    case feed(offset: Int)
    case constants(offset: Int)
    case block(name: String, offset: Int)
  }

  package let program: Program
  package let launches: [Launch]
  /// Why the device cannot run the program, or nil.
  package let misfit: String?
  /// How many dispatches of each launch, from its first on, read nothing that a step changes: they run once, when the plan
  /// is made, and their scratch keeps what they wrote.
  package let prepared: [Int]
  package let places: [Place?]
  /// Arena offset of each scratch tensor of each node.
  package let scratch: [[Int]]
  /// Arena offset of each node's colocated range.
  package let colocated: [Int?]
  /// Inputs written by the host each step: name, value and offset in the feed.
  package let feeds: [(name: String, value: Int, offset: Int)]
  package let constants: [(value: Int, offset: Int)]
  /// Offset of each result in a read-back slot.
  package let resultOffsets: [Int]
  package let arenaBytes: Int
  /// Bytes of each buffer of the arena but the last: arena offset `i` is offset `i % arenaBufferBytes` of one of them.
  package let arenaBufferBytes: Int
  package let feedBytes: Int
  package let constantBytes: Int
  package let resultBytes: Int

  /// Of one step.
  package var dispatchCount: Int { zip(launches, prepared).reduce(0) { $0 + $1.0.dispatches.count - $1.1 } }

  /// Device memory that a plan of this layout takes, without its persistent blocks.
  package var bytes: Int { arenaBytes + feedBytes + constantBytes }

  package var cost: Cost {
    program.nodes.reduce(Cost(flops: 0, bytes: 0)) { $0 + program.cost(of: $1) }
  }

  /// - Parameters:
  ///   - choices: which variants of the ops to launch.
  ///   - frozen: persistent blocks that nothing writes to while the plan is in use.
  ///   - aliasing: false gives every value its own memory, so that all can be inspected after a run.
  package init(
    _ program: Program, traits: DeviceTraits, choices: Choices = .defaults, frozen: Set<String> = [],
    aliasing: Bool = true
  ) {
    self.program = program
    let types = program.types
    let chosen = program.nodes.map { node in choices.launch(node.op, program.site(of: node, traits: traits)) }
    let launches = chosen.map(\.launch)
    let prepared = zip(program.nodes, launches).map { node, launch in
      launch.dispatchesOfConstants { input in
        switch program.sources[node.inputs[input]] {
        case .constant: true
        case .block(let name, _): frozen.contains(name)
        case .input, .node: false
        }
      }
    }
    self.launches = launches
    self.prepared = prepared

    var lastUse = [Int](repeating: -1, count: types.count)
    var firstUse = [Int](repeating: -1, count: types.count)
    var group = [Int?](repeating: nil, count: types.count)
    for (step, node) in program.nodes.enumerated() {
      for input in node.inputs { lastUse[input] = step }
      for output in node.outputs {
        firstUse[output] = step
        lastUse[output] = max(lastUse[output], step)
      }
      if let colocation = node.op.colocated {
        for input in node.inputs[colocation.first...] {
          precondition(
            group[input] == nil && firstUse[input] >= 0, "\(node.op.name): value \(input) cannot be colocated")
          group[input] = step
        }
      }
    }
    let end = program.nodes.count
    for result in program.results { lastUse[result] = end }

    var requests: [MemoryPlan.Request] = []
    func request(_ bytes: Int, _ first: Int, _ last: Int) -> Int {
      requests.append(MemoryPlan.Request(bytes: bytes, first: aliasing ? first : 0, last: aliasing ? last : end))
      return requests.count - 1
    }
    var requestOf = [Int?](repeating: nil, count: types.count)
    var scratchRequests: [[Int]] = []
    var groupRequests: [Int?] = []
    var keptRequests: [Preparation: Int] = [:]
    for (step, node) in program.nodes.enumerated() {
      for output in node.outputs where group[output] == nil {
        requestOf[output] = request(types[output].bytes, step, lastUse[output])
      }
      let kept = launches[step].scratchWritten(by: prepared[step])
      scratchRequests.append(
        launches[step].scratch.enumerated().map { i, type in
          guard kept.contains(i) else { return request(type.bytes, step, step) }
          // What is prepared alike, such as a weight that several passes read, is kept once.
          let preparation = Preparation(launches[step].dispatches.prefix(prepared[step]), of: node, scratch: i)
          let place = keptRequests[preparation] ?? request(type.bytes, 0, end)
          keptRequests[preparation] = place
          return place
        })
      groupRequests.append(
        node.op.colocated.map { colocation in
          let members = node.inputs[colocation.first...]
          let last = members.map { lastUse[$0] }.max() ?? step
          return request(colocation.bytes, members.map { firstUse[$0] }.min() ?? step, max(step, last))
        })
    }
    let memory = MemoryPlan(requests, longest: traits.maxAllocationBytes)
    let tooLong = requests.map(\.bytes).max().flatMap { bytes in
      bytes <= memory.bufferBytes
        ? nil : "a tensor of \(bytes) bytes, where one buffer has \(traits.maxAllocationBytes) at the most"
    }
    misfit = chosen.lazy.compactMap(\.misfit).first ?? tooLong

    var places = [Place?](repeating: nil, count: types.count)
    for (value, r) in requestOf.enumerated() { places[value] = r.map { .arena(offset: memory.offsets[$0]) } }
    for (step, node) in program.nodes.enumerated() {
      guard let colocation = node.op.colocated, let r = groupRequests[step] else { continue }
      for (input, offset) in zip(node.inputs[colocation.first...], colocation.offsets) {
        places[input] = .arena(offset: memory.offsets[r] + offset)
      }
    }

    var feeds: [(name: String, value: Int, offset: Int)] = []
    var constants: [(value: Int, offset: Int)] = []
    var feedBytes = 0
    var constantBytes = 0
    for value in Set(program.nodes.flatMap(\.inputs) + program.results).sorted() {
      switch program.sources[value] {
      case .input(let name):
        places[value] = .feed(offset: feedBytes)
        feeds.append((name, value, feedBytes))
        feedBytes += MemoryPlan.aligned(types[value].bytes)
      case .constant:
        places[value] = .constants(offset: constantBytes)
        constants.append((value, constantBytes))
        constantBytes += MemoryPlan.aligned(types[value].bytes)
      case .block(let name, let offset):
        places[value] = .block(name: name, offset: offset * types[value].dtype.bytes)
      case .node: break
      }
    }

    var resultBytes = 0
    resultOffsets = program.results.map { value in
      defer { resultBytes += MemoryPlan.aligned(types[value].bytes) }
      return resultBytes
    }
    self.places = places
    self.feeds = feeds
    self.constants = constants
    self.feedBytes = feedBytes
    self.constantBytes = constantBytes
    self.resultBytes = resultBytes
    scratch = scratchRequests.map { $0.map { memory.offsets[$0] } }
    colocated = groupRequests.map { $0.map { memory.offsets[$0] } }
    arenaBytes = memory.arenaBytes
    arenaBufferBytes = memory.bufferBytes
  }
}

extension Program {
  package func site(of node: Graph.Node, traits: DeviceTraits) -> LaunchSite {
    LaunchSite(inputs: node.inputs.map { types[$0] }, outputs: node.outputs.map { types[$0] }, traits: traits)
  }

  package func cost(of node: Graph.Node) -> Cost {
    node.op.cost(node.inputs.map { types[$0] }, node.outputs.map { types[$0] })
  }
}

/// What fills a scratch tensor when a plan is made: the same dispatches over the same values leave the same bytes.
private struct Preparation: Hashable {
  private struct Call: Hashable {
    let kernel: String
    let constants: [SpecializationEntry]
    let push: [UInt8]
    let groups: GroupCount
    let operands: [Operand]
  }

  private let calls: [Call]
  private let scratch: Int

  init(_ dispatches: ArraySlice<Dispatch>, of node: Graph.Node, scratch: Int) {
    calls = dispatches.map { dispatch in
      let operands = dispatch.operands.map { operand in
        guard case .input(let i) = operand.place else { return operand }
        return operand.moved(to: .input(node.inputs[i]))
      }
      return Call(
        kernel: dispatch.source.name, constants: dispatch.constants, push: dispatch.push, groups: dispatch.groups,
        operands: operands)
    }
    self.scratch = scratch
  }
}

extension Launch {
  /// How many dispatches, from the first on, read constant inputs and what such dispatches wrote, and write only scratch
  /// that no other dispatch writes.
  fileprivate func dispatchesOfConstants(_ isConstant: (Int) -> Bool) -> Int {
    var count = 0
    for dispatch in dispatches {
      let kept = scratchWritten(by: count)
      let isOfConstants = zip(dispatch.operands, dispatch.source.bindings).allSatisfy { operand, binding in
        switch operand.place {
        case .unused: true
        case .input(let i): !binding.access.writes && isConstant(i)
        case .scratch(let i): binding.access.writes || kept.contains(i)
        case .output, .colocated: false
        }
      }
      guard isOfConstants else { break }
      count += 1
    }
    let rewritten = dispatches[count...].contains { dispatch in
      zip(dispatch.operands, dispatch.source.bindings).contains { operand, binding in
        guard case .scratch(let i) = operand.place else { return false }
        return binding.access.writes && scratchWritten(by: count).contains(i)
      }
    }
    return rewritten ? 0 : count
  }

  /// The scratch tensors that the first `count` dispatches write.
  fileprivate func scratchWritten(by count: Int) -> Set<Int> {
    var written: Set<Int> = []
    for dispatch in dispatches.prefix(count) {
      for (operand, binding) in zip(dispatch.operands, dispatch.source.bindings) {
        if case .scratch(let i) = operand.place, binding.access.writes { written.insert(i) }
      }
    }
    return written
  }
}
