#version 450
// The gradient of geglu.comp: da = dy gelu(b), db = dy a gelu'(b); x [rows, 2 F], dy [rows, F] -> dx [rows, 2 F]. In the wide form F is
// a multiple of what a subgroup stores, 256.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "elementwise.glsl"
#include "fetch4.glsl"
#include "gelu.glsl"
#include "store4.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint F = 64;
const uint SPANS = (F + 4 * SPAN - 1) / (4 * SPAN);  // of a row

// R32 unless F % 4 = 0
layout(binding = 0) uniform textureBuffer x;
layout(binding = 1) uniform textureBuffer dy;
layout(binding = 2) writeonly buffer Dx { Span dx[]; };
layout(push_constant) uniform Push { uint rows; IDENTITY };

void main() {
  EACH_SPAN(i, rows * SPANS) {
    uint r = i / SPANS, f = 4 * SPAN * (i % SPANS);
    vec4 da[SPAN];
    vec4 db[SPAN];
    [[unroll]] for (uint j = 0; j < SPAN; j++) {
      vec4 a = fetch4(x, F % 4 == 0, int(2 * r * F), int(f + 4 * j), int(F));
      vec4 b = fetch4(x, F % 4 == 0, int((2 * r + 1) * F), int(f + 4 * j), int(F));
      vec4 g = fetch4(dy, F % 4 == 0, int(r * F), int(f + 4 * j), int(F));
      da[j] = g * gelu(b);
      db[j] = g * a * gelu_derivative(b);
    }
#ifdef WIDE
    uint row = known_uniform(first_ / SPANS) * SPANS, at = known_ + row + turn_;
    STORE_LANES(dx, at + lane_, span(da))
    STORE_LANES(dx, at + SPANS + lane_, span(db))
#else
    STORE4(dx, 2 * r * F, f, F, da[0])
    STORE4(dx, (2 * r + 1) * F, f, F, db[0])
#endif
  }
}
