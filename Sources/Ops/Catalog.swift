import Graph

/// Every op. Tests and benches walk this list, so an op that stands here is tested and measured with no further edit.
package let catalog: [any Op.Type] = [
  Add.self,
  AddBias.self,
  AssembleTokens.self,
  BatchSum.self,
  Broadcast.self,
  ColumnSum.self,
  Copy.self,
  DropFirstToken.self,
  DropPathScale.self,
  Fill.self,
  Gelu.self,
  GeluBackward.self,
  LayerNorm.self,
  LayerNormBackward.self,
  LayerNormParameterGradients.self,
  Patchify.self,
  PlaceToken.self,
  Scale.self,
  ScaleSamples.self,
  Sum.self,
  TakeToken.self,
  Uniform.self,
]
