import Graph

/// Every op. Tests and benches walk this list, so an op that stands here is tested and measured with no further edit.
package let catalog: [any Op.Type] = [
  Add.self,
  Combine.self,
  CombineBackward.self,
  Fill.self,
  GatherSum.self,
  Route.self,
  TopKGate.self,
  TopKGateBackward.self,
]
