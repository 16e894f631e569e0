#version 450
// The gradient of geglu.comp: dx[r] = [dy[r] gelu(b[r]) | dy[r] a[r] gelu'(b[r])]: a cluster per row.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const uint C = 64;
#include "row.glsl"
layout(local_size_x = 64) in;
#include "gelu.glsl"
layout(binding = 0) uniform textureBuffer x;  // R32 unless C % 4 = 0
layout(binding = 1) uniform textureBuffer dy;
SPANS(2, dx)
layout(push_constant) uniform Push {
  uint rows;
  IDENTITY
  ADDRESS(x) ADDRESS(dy)
};

void main() {
  EACH_ROW(r, rows) {
    vec4 da[VECTORS];
    vec4 db[VECTORS];
    [[unroll]] for (uint i = 0; i < VECTORS; i++) {
      vec4 a = ROW4(x, 2 * r * C, i), b = ROW4(x, (2 * r + 1) * C, i), g = ROW4(dy, r * C, i);
      da[i] = g * gelu(b);
      db[i] = g * a * gelu_derivative(b);
    }
    STORE_ROW_AT(dx, 2 * r, da)
    STORE_ROW_AT(dx, 2 * r + 1, db)
  }
}
