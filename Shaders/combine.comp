#version 450
// y[t] = sum over k of scores[t, k] rows[slots[t, k]] (+ residual[t]), in order of k; scores are 1 unless WEIGHTED.
// rows [tokens K, C], slots, scores [tokens, K], residual, y [tokens, C]; one lane per column of y.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint K = 2;
layout(constant_id = 1) const uint COLUMNS = 16;    // per row: vectors of four where C is a multiple of 4, else elements
layout(constant_id = 2) const bool ALIGNED = true;  // columns are vectors
layout(constant_id = 3) const bool WEIGHTED = true;
layout(constant_id = 4) const bool RESIDUAL = false;

layout(binding = 0) uniform textureBuffer rows;
layout(binding = 1) uniform utextureBuffer slots;
layout(binding = 2) uniform textureBuffer scores;
layout(binding = 3) uniform textureBuffer residual;
layout(binding = 4) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Push { uint count; };  // tokens COLUMNS

void main() {
  uint i = linear_index();
  uint at = min(i, count - 1);
  int entry = int(at / COLUMNS * K);
  uint column = at % COLUMNS;
  vec4 sum = vec4(0.0);
  [[unroll]] for (int k = 0; k < K; k++) {
    vec4 row = texelFetch(rows, int(texelFetch(slots, entry + k).x * COLUMNS + column));
    sum += WEIGHTED ? texelFetch(scores, entry + k).x * row : row;
  }
  if (RESIDUAL) sum += texelFetch(residual, int(at));
  if (i < count) {
    if (ALIGNED) y[i] = sum;
    else y[i / 4][i % 4] = sum.x;
  }
}
