#version 450
// d_rows[slots[t, k]] = scores[t, k] dy[t];  d_scores[t, k] = <dy[t], rows[slots[t, k]]>.
// rows, d_rows [tokens K, C], scores, slots, d_scores [tokens, K], dy [tokens, C]; a cluster per token.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const uint C = 64;
layout(constant_id = 2) const uint K = 2;
#include "row.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer rows;  // rows and dy: R32 unless C % 4 = 0
layout(binding = 1) uniform textureBuffer scores;
layout(binding = 2) uniform utextureBuffer slots;
layout(binding = 3) uniform textureBuffer dy;
SPANS(4, d_rows)
layout(binding = 5) writeonly buffer DScores { float d_scores[]; };
layout(push_constant) uniform Push {
  uint tokens;
  IDENTITY
  ADDRESS(rows) ADDRESS(scores) ADDRESS(slots) ADDRESS(dy)
};

void main() {
  EACH_ROW(t, tokens) {
    vec4 d[VECTORS];
    [[unroll]] for (uint i = 0; i < VECTORS; i++) d[i] = ROW4(dy, t * C, i);
    [[unroll]] for (uint k = 0; k < K; k++) {
      uint slot = min(ONE_UINT(slots, t * K + k), tokens * K - 1);  // of nonsense nothing outside of rows is read
      float score = ONE(scores, t * K + k);
      vec4 product = vec4(0.0);
      vec4 scaled[VECTORS];
      [[unroll]] for (uint i = 0; i < VECTORS; i++) {
        product += d[i] * ROW4(rows, slot * C, i);
        scaled[i] = score * d[i];
      }
      STORE_ROW_AT(d_rows, slot, scaled)
      float along = cluster_sum(dot(product, vec4(1.0)));
      STORE_ONE(d_scores, t * K + k, along)
    }
  }
}
