#version 450
// dx[r, c] = rstd[r] (g[c] - mean_c(g) - h[c] mean_c(g h)) (+ residual[r, c]): a cluster per row.
// Where g = dy weight[r % TURN] and h = (x - mean) rstd.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const uint C = 64;
layout(constant_id = 2) const uint TURN = 1;  // rows of weight
layout(constant_id = 3) const bool RESIDUAL = false;
#include "row.glsl"
layout(local_size_x = 64) in;
// R32 unless C % 4 = 0; mean and rstd always
layout(binding = 0) uniform textureBuffer x;
layout(binding = 1) uniform textureBuffer weight;
layout(binding = 2) uniform textureBuffer mean;
layout(binding = 3) uniform textureBuffer rstd;
layout(binding = 4) uniform textureBuffer dy;
layout(binding = 5) uniform textureBuffer residual;
SPANS(6, dx)
layout(push_constant) uniform Push {
  uint rows;
  IDENTITY
  ADDRESS(x) ADDRESS(weight) ADDRESS(mean) ADDRESS(rstd) ADDRESS(dy) ADDRESS(residual)
};

void main() {
  EACH_ROW(r, rows) {
    uint start = r * C;
    uint parameters = r % TURN * C;
    float m = ONE(mean, r);
    float s = ONE(rstd, r);
    vec4 g[VECTORS];
    vec4 h[VECTORS];
    vec4 sum_g = vec4(0.0);
    vec4 sum_gh = vec4(0.0);
    [[unroll]] for (uint i = 0; i < VECTORS; i++) {
      g[i] = ROW4(dy, start, i) * ROW4(weight, parameters, i);
      h[i] = (ROW4(x, start, i) - m) * s;
      sum_g += g[i];
      sum_gh += g[i] * h[i];
    }
    vec2 means = cluster_sum(vec2(dot(sum_g, vec4(1.0)), dot(sum_gh, vec4(1.0)))) / C;
    [[unroll]] for (uint i = 0; i < VECTORS; i++) {
      g[i] = s * (g[i] - means.x - h[i] * means.y);
      if (RESIDUAL) g[i] += ROW4(residual, start, i);
    }
    STORE_ROW(dx, g)
  }
}
