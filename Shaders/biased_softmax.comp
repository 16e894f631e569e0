#version 450
// y[r] = softmax(scale x[r] + bias[row of r]) over the C columns of each row: a cluster per row.
// Rows of x are [B, H, U]; the bias has rows [U] (SHARED) or [B, U], if any.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const uint C = 64;
layout(constant_id = 2) const bool BIAS = false;
layout(constant_id = 3) const bool SHARED = false;
#include "cluster.glsl"
#include "fetch4.glsl"
#include "span.glsl"
#include "store4.glsl"
#include "row.glsl"
layout(local_size_x = 64) in;
// R32 unless C % 4 = 0
layout(binding = 0) uniform textureBuffer x;
layout(binding = 1) uniform textureBuffer bias;
layout(binding = 2) writeonly buffer Y { Span y[]; };
layout(push_constant) uniform Push {
  uint rows;
  uint U;
  uint sample_rows;  // H U
  float scale;
  IDENTITY
  ADDRESS(x) ADDRESS(bias)
};

void main() {
  EACH_ROW(r, rows) {
    uint bias_row = SHARED ? r % U : r / sample_rows * U + r % U;
    vec4 v[VECTORS];
    vec4 top = vec4(-3e38);
    [[unroll]] for (uint i = 0; i < VECTORS; i++) {
      v[i] = ROW4(x, r * C, i) * scale;
      if (BIAS) v[i] += ROW4(bias, bias_row * C, i);
      v[i] = mix(vec4(-3e38), v[i], lessThan(columns(i), uvec4(C)));
      top = max(top, v[i]);
    }
    float peak = cluster_max(max(max(top.x, top.y), max(top.z, top.w)));
    vec4 sum = vec4(0.0);
    [[unroll]] for (uint i = 0; i < VECTORS; i++) {
      v[i] = inside(i, exp(v[i] - peak));
      sum += v[i];
    }
    float factor = 1.0 / cluster_sum(dot(sum, vec4(1.0)));
    [[unroll]] for (uint i = 0; i < VECTORS; i++) v[i] *= factor;
    STORE_ROW(y, v)
  }
}
