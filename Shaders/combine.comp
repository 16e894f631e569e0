#version 450
// y[t] = sum over k of scores[t, k] rows[slots[t, k]] (+ residual[t]), in order of k; scores are 1 unless WEIGHTED.
// rows [tokens K, C], slots, scores [tokens, K], residual, y [tokens, C]; one lane per VECTORS columns of y.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint K = 2;
layout(constant_id = 1) const uint COLUMNS = 16;    // per row: vectors of four if C is a multiple of 4, else elements
layout(constant_id = 2) const bool ALIGNED = true;  // columns are vectors
layout(constant_id = 3) const bool WEIGHTED = true;
layout(constant_id = 4) const bool RESIDUAL = false;
layout(constant_id = 5) const uint VECTORS = 1;  // columns per lane, COLUMNS / VECTORS apart

layout(binding = 0) uniform textureBuffer rows;
layout(binding = 1) uniform utextureBuffer slots;
layout(binding = 2) uniform textureBuffer scores;
layout(binding = 3) uniform textureBuffer residual;
layout(binding = 4) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Push { uint count; };  // lanes

const uint STEP = COLUMNS / VECTORS;

void main() {
  uint i = linear_index();
  uint lane = min(i, count - 1);
  uint token = lane / STEP;
  uint column = lane % STEP;
  vec4 sum[VECTORS];
  [[unroll]] for (uint v = 0; v < VECTORS; v++) sum[v] = vec4(0.0);
  [[unroll]] for (uint k = 0; k < K; k++) {
    uint row = texelFetch(slots, int(token * K + k)).x * COLUMNS + column;
    float score = WEIGHTED ? texelFetch(scores, int(token * K + k)).x : 1.0;
    [[unroll]] for (uint v = 0; v < VECTORS; v++) {
      vec4 x = texelFetch(rows, int(row + v * STEP));
      sum[v] += WEIGHTED ? score * x : x;
    }
  }
  uint at = token * COLUMNS + column;
  [[unroll]] for (uint v = 0; v < VECTORS; v++) {
    if (RESIDUAL) sum[v] += texelFetch(residual, int(at + v * STEP));
    if (i < count) {
      if (ALIGNED) y[at + v * STEP] = sum[v];
      else y[(at + v * STEP) / 4][(at + v * STEP) % 4] = sum[v].x;
    }
  }
}
