#version 450
// y[r, c] = 1 + gain (x[r, c] - mean[r]) / sqrt(variance[r] + eps) over the C columns of each row: a cluster per row.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const uint C = 64;
#include "row.glsl"
#include "standardized.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer x;     // R32 unless C % 4 = 0
layout(binding = 1) uniform textureBuffer gain;  // R32, one number
SPANS(2, y)
layout(push_constant) uniform Push {
  uint rows;
  float eps;
  IDENTITY
  ADDRESS(x)
};

void main() {
  EACH_ROW(r, rows) {
    uint start = r * C;
    vec4 h[VECTORS];
    [[unroll]] for (uint i = 0; i < VECTORS; i++) h[i] = ROW4(x, start, i);
    float factor = standardize(h, eps) * texelFetch(gain, 0).x;
    [[unroll]] for (uint i = 0; i < VECTORS; i++) h[i] = h[i] * factor + 1.0;
    STORE_ROW(y, h)
  }
}
