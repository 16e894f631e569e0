#version 450
// y[r] = softmax(scale x[r] + bias[row of r]) over the C columns of each row: a cluster per row.
// Rows of x are [B, H, U]; the bias has rows [U] (SHARED) or [B, U], if any.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const uint C = 64;
layout(constant_id = 2) const bool BIAS = false;
layout(constant_id = 3) const bool SHARED = false;
layout(constant_id = 4) const bool HELD = true;  // rows are read once and held in registers
layout(constant_id = 5) const uint U = 1;
layout(constant_id = 6) const uint SAMPLE_ROWS = 1;  // H U
#include "row.glsl"
layout(local_size_x = 64) in;
// R32 unless C % 4 = 0
layout(binding = 0) uniform textureBuffer x;
layout(binding = 1) uniform textureBuffer bias;
SPANS(2, y)
layout(push_constant) uniform Push {
  uint rows;
  float scale;
  IDENTITY
  ADDRESS(x) ADDRESS(bias)
};

const float LOWEST = -3e38;

float sum4(vec4 v) { return (v.x + v.y) + (v.z + v.w); }
float max4(vec4 v) { return max(max(v.x, v.y), max(v.z, v.w)); }

// The i-th of a lane's vectors of scale x + bias, LOWEST past the row's end.
#define SCORES(i) \
  mix(vec4(LOWEST), BIAS ? ROW4(x, r * C, i) * scale + ROW4(bias, bias_row * C, i) : ROW4(x, r * C, i) * scale, \
      lessThan(columns(i), uvec4(C)))

void main() {
  EACH_ROW(r, rows) {
    uint bias_row = SHARED ? r % U : r / SAMPLE_ROWS * U + r % U;
#ifndef WIDE
    if (!HELD) {
      // The sum so far is rescaled when the maximum rises (Milakov and Gimelshein 2018).
      float peak = LOWEST;
      float sum = 0.0;
      for (uint i = 0; i < VECTORS; i++) {
        vec4 v = SCORES(i);
        float top = max(peak, max4(v));
        sum = sum * exp(peak - top) + sum4(inside(i, exp(v - top)));
        peak = top;
      }
      float top = cluster_max(peak);
      float factor = 1.0 / cluster_sum(sum * exp(peak - top));
      for (uint i = 0; i < VECTORS; i++) STORE_VECTOR(y, r, i, exp(SCORES(i) - top) * factor)
      return;
    }
#endif
    vec4 v[VECTORS];
    vec4 top = vec4(LOWEST);
    [[unroll]] for (uint i = 0; i < VECTORS; i++) {
      v[i] = SCORES(i);
      top = max(top, v[i]);
    }
    float peak = cluster_max(max4(top));
    vec4 sum = vec4(0.0);
    [[unroll]] for (uint i = 0; i < VECTORS; i++) {
      v[i] = inside(i, exp(v[i] - peak));
      sum += v[i];
    }
    float factor = 1.0 / cluster_sum(sum4(sum));
    [[unroll]] for (uint i = 0; i < VECTORS; i++) v[i] *= factor;
    STORE_ROW(y, v)
  }
}
