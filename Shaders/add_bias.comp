#version 450
// y[r, c] = x[r, c] + bias[c]: a cluster per row of C columns.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const uint C = 64;
#include "row.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer x;  // R32 unless C % 4 = 0
layout(binding = 1) uniform textureBuffer bias;
SPANS(2, y)
layout(push_constant) uniform Push {
  uint rows;
  IDENTITY
  ADDRESS(x) ADDRESS(bias)
};

void main() {
  EACH_ROW(r, rows) {
    vec4 v[VECTORS];
    [[unroll]] for (uint i = 0; i < VECTORS; i++) v[i] = ROW4(x, r * C, i) + ROW4(bias, 0, i);
    STORE_ROW(y, v)
  }
}
