#version 450
// y[r] = a[r] gelu(b[r]) for rows x[r] = [a | b] of 2 C columns: a cluster per row.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const uint C = 64;
#include "row.glsl"
layout(local_size_x = 64) in;
#include "gelu.glsl"
layout(binding = 0) uniform textureBuffer x;  // R32 unless C % 4 = 0
SPANS(1, y)
layout(push_constant) uniform Push {
  uint rows;
  IDENTITY
  ADDRESS(x)
};

void main() {
  EACH_ROW(r, rows) {
    vec4 v[VECTORS];
    [[unroll]] for (uint i = 0; i < VECTORS; i++) v[i] = ROW4(x, 2 * r * C, i) * gelu(ROW4(x, (2 * r + 1) * C, i));
    STORE_ROW(y, v)
  }
}
