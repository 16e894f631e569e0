#version 450
// y[r, c] = x[r, c] scale[r % TURN, c] (+ residual[r, c]): a cluster per row of C columns.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const uint C = 64;
layout(constant_id = 2) const uint TURN = 1;  // rows of scale
layout(constant_id = 3) const bool RESIDUAL = false;
#include "row.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer x;  // R32 unless C % 4 = 0
layout(binding = 1) uniform textureBuffer scale;
layout(binding = 2) uniform textureBuffer residual;
SPANS(3, y)
layout(push_constant) uniform Push {
  uint rows;
  IDENTITY
  ADDRESS(x) ADDRESS(scale) ADDRESS(residual)
};

void main() {
  EACH_ROW(r, rows) {
    vec4 v[VECTORS];
    [[unroll]] for (uint i = 0; i < VECTORS; i++) {
      v[i] = ROW4(x, r * C, i) * ROW4(scale, r % TURN * C, i);
      if (RESIDUAL) v[i] += ROW4(residual, r * C, i);
    }
    STORE_ROW(y, v)
  }
}
