#version 450
// y[r, c] = exp(x[r, c] - max_c x[r]) / sum_c exp(x[r, c] - max_c x[r]): a cluster per row.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const uint C = 64;
layout(constant_id = 2) const bool HELD = true;  // rows are read once and held in registers
#include "cluster.glsl"
#include "ragged_row.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer x;
layout(binding = 1) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Push { uint rows; };

const float LOWEST = -3.402823e38;

float sum4(vec4 v) { return (v.x + v.y) + (v.z + v.w); }
float max4(vec4 v) { return max(max(v.x, v.y), max(v.z, v.w)); }

vec4 read(Row row, int i, bool ends) {
  vec4 v = texelFetch(x, min(i, row.last));
  return ends ? mix(vec4(LOWEST), v, inside(row, i)) : v;
}

void main() {
  uint r = linear_cluster();
  Row row = ragged_row(min(r, rows - 1));
  if (HELD) {
    vec4 v[LANE_VECTORS];
    vec4 highest = vec4(LOWEST);
    [[unroll]] for (int n = 0; n < LANE_VECTORS; n++) {
      v[n] = read(row, row.first + n * LANES, may_end(n));
      highest = max(highest, v[n]);
    }
    float peak = cluster_max(max4(highest));
    vec4 sum = vec4(0.0);
    [[unroll]] for (int n = 0; n < LANE_VECTORS; n++) {
      v[n] = exp(v[n] - peak);
      sum += v[n];
    }
    float scale = 1.0 / cluster_sum(sum4(sum));
    if (r < rows) {
      [[unroll]] for (int n = 0; n < LANE_VECTORS; n++) {
        int i = row.first + n * LANES;
        STORE_INSIDE(y, row, i, may_end(n), v[n] * scale)
      }
    }
  } else {
    // The sum so far is rescaled when the maximum rises (Milakov and Gimelshein 2018).
    float peak = LOWEST;
    float sum = 0.0;
    for (int i = row.first; i <= row.last; i += LANES) {
      vec4 v = read(row, i, true);
      float top = max(peak, max4(v));
      sum = sum * exp(peak - top) + sum4(exp(v - top));
      peak = top;
    }
    float top = cluster_max(peak);
    float scale = 1.0 / cluster_sum(sum * exp(peak - top));
    if (r < rows) {
      for (int i = row.first; i <= row.last; i += LANES) {
        vec4 v = exp(texelFetch(x, i) - top) * scale;
        STORE_INSIDE(y, row, i, true, v)
      }
    }
  }
}
