#version 450
// The gradient of modulation.comp: dx[r, c] = gain rstd[r] (dy - mean_c(dy) - h mean_c(dy h)), and what row r owes the gain,
// dgain[r] = sum_c dy h, with h = (x - mean) rstd: a cluster per row.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const uint C = 64;
#include "row.glsl"
#include "standardized.glsl"
layout(local_size_x = 64) in;
// R32 unless C % 4 = 0; the gain always
layout(binding = 0) uniform textureBuffer x;
layout(binding = 1) uniform textureBuffer gain;
layout(binding = 2) uniform textureBuffer dy;
SPANS(3, dx)
layout(binding = 4) writeonly buffer DGain { float dgain[]; };
layout(push_constant) uniform Push {
  uint rows;
  float eps;
  IDENTITY
  ADDRESS(x) ADDRESS(dy)
};

void main() {
  EACH_ROW(r, rows) {
    uint start = r * C;
    vec4 h[VECTORS];
    vec4 g[VECTORS];
    [[unroll]] for (uint i = 0; i < VECTORS; i++) h[i] = ROW4(x, start, i);
    float rstd = standardize(h, eps);
    vec4 sum_g = vec4(0.0);
    vec4 sum_gh = vec4(0.0);
    [[unroll]] for (uint i = 0; i < VECTORS; i++) {
      h[i] *= rstd;
      g[i] = ROW4(dy, start, i);
      sum_g += g[i];
      sum_gh += g[i] * h[i];
    }
    vec2 sums = cluster_sum(vec2(dot(sum_g, vec4(1.0)), dot(sum_gh, vec4(1.0))));
    vec2 means = sums / C;
    float factor = rstd * texelFetch(gain, 0).x;
    [[unroll]] for (uint i = 0; i < VECTORS; i++) g[i] = factor * (g[i] - means.x - h[i] * means.y);
    STORE_ROW(dx, g)
    STORE_ONE(dgain, r, sums.y)
  }
}
