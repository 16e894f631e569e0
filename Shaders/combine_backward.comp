#version 450
// d_rows[slots[t, k]] = scores[t, k] dy[t];  d_scores[t, k] = <dy[t], rows[slots[t, k]]>.
// rows, d_rows [tokens K, C], scores, slots, d_scores [tokens, K], dy [tokens, C]; a cluster of lanes per token.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const uint K = 2;
layout(constant_id = 2) const uint COLUMNS = 16;    // per row: vectors of four if C is a multiple of 4, else elements
layout(constant_id = 3) const bool ALIGNED = true;  // columns are vectors
#include "cluster.glsl"

layout(binding = 0) uniform textureBuffer rows;
layout(binding = 1) uniform textureBuffer scores;
layout(binding = 2) uniform utextureBuffer slots;
layout(binding = 3) uniform textureBuffer dy;
layout(binding = 4) writeonly buffer DRows { vec4 d_rows[]; };
layout(binding = 5) writeonly buffer DScores { float d_scores[]; };
layout(push_constant) uniform Push { uint tokens; };

void main() {
  uint group = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
  uint token = group * (gl_WorkGroupSize.x / CLUSTER) + cluster_index();
  uint t = min(token, tokens - 1);
  uint slot[K];
  float score[K];
  float product[K];
  [[unroll]] for (uint k = 0; k < K; k++) {
    slot[k] = texelFetch(slots, int(t * K + k)).x;
    score[k] = texelFetch(scores, int(t * K + k)).x;
    product[k] = 0.0;
  }
  for (uint first = 0; first < COLUMNS; first += CLUSTER) {
    uint column = first + cluster_lane();
    bool inside = token < tokens && column < COLUMNS;
    column = min(column, COLUMNS - 1);
    vec4 d = texelFetch(dy, int(t * COLUMNS + column));
    [[unroll]] for (uint k = 0; k < K; k++) {
      uint at = slot[k] * COLUMNS + column;
      vec4 row = texelFetch(rows, int(at));
      product[k] += inside ? (ALIGNED ? dot(d, row) : d.x * row.x) : 0.0;
      if (inside) {
        if (ALIGNED) d_rows[at] = score[k] * d;
        else d_rows[at / 4][at % 4] = score[k] * d.x;
      }
    }
  }
  [[unroll]] for (uint k = 0; k < K; k++) product[k] = cluster_sum(product[k]);
  if (token < tokens && cluster_lane() == 0) {
    [[unroll]] for (uint k = 0; k < K; k++) d_scores[t * K + k] = product[k];
  }
}
