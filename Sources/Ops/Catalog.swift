import Graph

/// Every op. Tests and benches walk this list, so an op that stands here is tested and measured with no further edit.
package let catalog: [any Op.Type] = [
  Accuracy.self,
  AdamW.self,
  Add.self,
  DistillationLoss.self,
  DistillationLossBackward.self,
  Fill.self,
]
