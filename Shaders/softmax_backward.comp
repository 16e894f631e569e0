#version 450
// dx[r] = scale y[r] (dy[r] - y[r] dy[r]^T): a cluster per row of C columns.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const uint C = 64;
layout(constant_id = 2) const bool HELD = true;  // rows are read once and held in registers
#include "row.glsl"
layout(local_size_x = 64) in;
// R32 unless C % 4 = 0
layout(binding = 0) uniform textureBuffer y;
layout(binding = 1) uniform textureBuffer dy;
SPANS(2, dx)
layout(push_constant) uniform Push {
  uint rows;
  float scale;
  IDENTITY
  ADDRESS(y) ADDRESS(dy)
};

void main() {
  EACH_ROW(r, rows) {
    uint start = r * C;
    vec4 sum = vec4(0.0);
#ifndef WIDE
    if (!HELD) {
      for (uint i = 0; i < VECTORS; i++) sum += ROW4(y, start, i) * ROW4(dy, start, i);
      float along = cluster_sum(dot(sum, vec4(1.0)));
      for (uint i = 0; i < VECTORS; i++) STORE_VECTOR(dx, r, i, ROW4(y, start, i) * (scale * (ROW4(dy, start, i) - along)))
      return;
    }
#endif
    vec4 p[VECTORS];
    vec4 g[VECTORS];
    [[unroll]] for (uint i = 0; i < VECTORS; i++) {
      p[i] = ROW4(y, start, i);
      g[i] = ROW4(dy, start, i);
      sum += p[i] * g[i];
    }
    float along = cluster_sum(dot(sum, vec4(1.0)));
    [[unroll]] for (uint i = 0; i < VECTORS; i++) p[i] *= scale * (g[i] - along);
    STORE_ROW(dx, p)
  }
}
