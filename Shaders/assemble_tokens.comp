#version 450
// y[b, t] = pos[t] + (t = 0 ? cls : patches[b, t - 1]); rows of C columns: patches [B, T - 1, C], y [B, T, C].
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const uint C = 64;
layout(constant_id = 2) const uint T = 1;
#include "row.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer patches;  // R32 unless C % 4 = 0
layout(binding = 1) uniform textureBuffer cls;
layout(binding = 2) uniform textureBuffer pos;
SPANS(3, y)
layout(push_constant) uniform Push {
  uint rows;  // of y
  IDENTITY
  ADDRESS(patches) ADDRESS(cls) ADDRESS(pos)
};

void main() {
  EACH_ROW(r, rows) {
    vec4 v[VECTORS];
    [[unroll]] for (uint i = 0; i < VECTORS; i++) v[i] =
        ROW4(pos, r % T * C, i) + mix(ROW4(patches, (max(r - r / T, 1) - 1) * C, i), ROW4(cls, 0, i), bvec4(r % T == 0));
    STORE_ROW(y, v)
  }
}
