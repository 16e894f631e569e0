#version 450
// y[r] = x[r] / |x[r]|, and 1 / |x[r]|: a cluster per row of C columns.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const uint C = 64;
#include "row.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer x;  // R32 unless C % 4 = 0
SPANS(1, y)
layout(binding = 2) writeonly buffer Inverse { float inverse[]; };
layout(push_constant) uniform Push { uint rows; IDENTITY ADDRESS(x) };

void main() {
  EACH_ROW(r, rows) {
    uint start = r * C;
    vec4 v[VECTORS];
    vec4 sum = vec4(0.0);
    [[unroll]] for (uint i = 0; i < VECTORS; i++) {
      v[i] = ROW4(x, start, i);
      sum += v[i] * v[i];
    }
    float factor = inversesqrt(cluster_sum(dot(sum, vec4(1.0))));
    [[unroll]] for (uint i = 0; i < VECTORS; i++) v[i] *= factor;
    STORE_ROW(y, v)
    STORE_ONE(inverse, r, factor)
  }
}
