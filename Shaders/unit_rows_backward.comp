#version 450
// dx[r] = (dy[r] - y[r] y[r] dy[r]^T) inverse[r]: a cluster per row of C columns.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const uint C = 64;
#include "row.glsl"
layout(local_size_x = 64) in;
// R32 unless C % 4 = 0
layout(binding = 0) uniform textureBuffer y;
layout(binding = 1) uniform textureBuffer inverse;  // R32
layout(binding = 2) uniform textureBuffer dy;
SPANS(3, dx)
layout(push_constant) uniform Push { uint rows; IDENTITY ADDRESS(y) ADDRESS(dy) };

void main() {
  EACH_ROW(r, rows) {
    vec4 v[VECTORS];
    vec4 g[VECTORS];
    vec4 sum = vec4(0.0);
    [[unroll]] for (uint i = 0; i < VECTORS; i++) {
      v[i] = ROW4(y, r * C, i);
      g[i] = ROW4(dy, r * C, i);
      sum += v[i] * g[i];
    }
    float along = cluster_sum(dot(sum, vec4(1.0)));
    float factor = texelFetch(inverse, int(r)).x;
    [[unroll]] for (uint i = 0; i < VECTORS; i++) g[i] = (g[i] - v[i] * along) * factor;
    STORE_ROW(dx, g)
  }
}
