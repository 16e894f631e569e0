#version 450
// dx[r, c] = y[r, c] (dy[r, c] - sum_c y[r, c] dy[r, c]): a cluster per row.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const uint C = 64;
layout(constant_id = 2) const bool HELD = true;  // rows are read once and held in registers
#include "cluster.glsl"
#include "ragged_row.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer y;
layout(binding = 1) uniform textureBuffer dy;
layout(binding = 2) writeonly buffer DX { vec4 dx[]; };
layout(push_constant) uniform Push { uint rows; };

float sum4(vec4 v) { return (v.x + v.y) + (v.z + v.w); }

void main() {
  uint r = linear_cluster();
  Row row = ragged_row(min(r, rows - 1));
  if (HELD) {
    vec4 p[LANE_VECTORS];
    vec4 g[LANE_VECTORS];
    vec4 sum = vec4(0.0);
    [[unroll]] for (int n = 0; n < LANE_VECTORS; n++) {
      int i = row.first + n * LANES;
      p[n] = texelFetch(y, min(i, row.last));
      g[n] = texelFetch(dy, min(i, row.last));
      vec4 product = p[n] * g[n];
      sum += may_end(n) ? mix(vec4(0.0), product, inside(row, i)) : product;
    }
    float mean = cluster_sum(sum4(sum));
    if (r < rows) {
      [[unroll]] for (int n = 0; n < LANE_VECTORS; n++) {
        int i = row.first + n * LANES;
        STORE_INSIDE(dx, row, i, may_end(n), p[n] * (g[n] - mean))
      }
    }
  } else {
    vec4 sum = vec4(0.0);
    for (int i = row.first; i <= row.last; i += LANES)
      sum += mix(vec4(0.0), texelFetch(y, i) * texelFetch(dy, i), inside(row, i));
    float mean = cluster_sum(sum4(sum));
    if (r < rows) {
      for (int i = row.first; i <= row.last; i += LANES) {
        vec4 v = texelFetch(y, i) * (texelFetch(dy, i) - mean);
        STORE_INSIDE(dx, row, i, true, v)
      }
    }
  }
}
