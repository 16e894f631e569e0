#version 450
// y[b, t] = x[b, t + 1]; rows of C columns: x [B, T + 1, C], y [B, T, C].
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const uint C = 64;
layout(constant_id = 2) const uint T = 1;
#include "row.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer x;  // R32 unless C % 4 = 0
SPANS(1, y)
layout(push_constant) uniform Push {
  uint rows;  // of y
  IDENTITY
  ADDRESS(x)
};

void main() {
  EACH_ROW(r, rows) {
    vec4 v[VECTORS];
    [[unroll]] for (uint i = 0; i < VECTORS; i++) v[i] = ROW4(x, (r + r / T + 1) * C, i);
    STORE_ROW(y, v)
  }
}
