#version 450
// y[t] = sum over k of scores[t, k] rows[slots[t, k]] (+ residual[t]), in order of k; scores are 1 unless WEIGHTED.
// rows [tokens K, C], slots, scores [tokens, K], residual, y [tokens, C]; a cluster per token.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const uint C = 64;
layout(constant_id = 2) const uint K = 2;
layout(constant_id = 3) const bool WEIGHTED = true;
layout(constant_id = 4) const bool RESIDUAL = false;
#include "row.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer rows;  // rows and residual: R32 unless C % 4 = 0
layout(binding = 1) uniform utextureBuffer slots;
layout(binding = 2) uniform textureBuffer scores;
layout(binding = 3) uniform textureBuffer residual;
SPANS(4, y)
layout(push_constant) uniform Push {
  uint tokens;
  IDENTITY
  ADDRESS(rows) ADDRESS(slots) ADDRESS(scores) ADDRESS(residual)
};

void main() {
  EACH_ROW(t, tokens) {
    vec4 sum[VECTORS];
    [[unroll]] for (uint i = 0; i < VECTORS; i++) sum[i] = vec4(0.0);
    [[unroll]] for (uint k = 0; k < K; k++) {
      uint start = min(ONE_UINT(slots, t * K + k), tokens * K - 1) * C;  // of nonsense nothing outside of rows is read
      float score = WEIGHTED ? ONE(scores, t * K + k) : 1.0;
      [[unroll]] for (uint i = 0; i < VECTORS; i++) sum[i] += score * ROW4(rows, start, i);
    }
    if (RESIDUAL) {
      [[unroll]] for (uint i = 0; i < VECTORS; i++) sum[i] += ROW4(residual, t * C, i);
    }
    STORE_ROW(y, sum)
  }
}
