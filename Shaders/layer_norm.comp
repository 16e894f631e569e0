#version 450
// y[r, c] = (x[r, c] - mean[r]) rstd[r] weight[r % TURN, c] + bias[r % TURN, c], rstd = 1 / sqrt(variance + eps): a cluster per row.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const uint C = 64;
layout(constant_id = 2) const uint TURN = 1;  // rows of weight and bias
#include "row.glsl"
layout(local_size_x = 64) in;
// R32 unless C % 4 = 0
layout(binding = 0) uniform textureBuffer x;
layout(binding = 1) uniform textureBuffer weight;
layout(binding = 2) uniform textureBuffer bias;
SPANS(3, y)
layout(binding = 4) writeonly buffer Mean { float mean[]; };
layout(binding = 5) writeonly buffer Rstd { float rstd[]; };
layout(push_constant) uniform Push {
  uint rows;
  float eps;
  IDENTITY
  ADDRESS(x) ADDRESS(weight) ADDRESS(bias)
};

void main() {
  EACH_ROW(r, rows) {
    uint start = r * C;
    uint parameters = r % TURN * C;
    vec4 v[VECTORS];
    vec4 sum = vec4(0.0);
    [[unroll]] for (uint i = 0; i < VECTORS; i++) {
      v[i] = ROW4(x, start, i);
      sum += v[i];
    }
    float m = cluster_sum(dot(sum, vec4(1.0))) / C;
    sum = vec4(0.0);
    [[unroll]] for (uint i = 0; i < VECTORS; i++) {
      v[i] = inside(i, v[i] - m);
      sum += v[i] * v[i];
    }
    float s = inversesqrt(cluster_sum(dot(sum, vec4(1.0))) / C + eps);
    [[unroll]] for (uint i = 0; i < VECTORS; i++) v[i] = v[i] * s * ROW4(weight, parameters, i) + ROW4(bias, parameters, i);
    STORE_ROW(y, v)
    STORE_ONE(mean, r, m)
    STORE_ONE(rstd, r, s)
  }
}
