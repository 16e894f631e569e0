#version 450
// y[r, f] = a[r, f] gelu(b[r, f]) for x = [a | b]: x [rows, 2 F] -> y [rows, F].
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "elementwise.glsl"
#include "fetch4.glsl"
#include "gelu.glsl"
#include "store4.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint F = 64;
const uint SPANS = (F + 4 * SPAN - 1) / (4 * SPAN);  // of a row

layout(binding = 0) uniform textureBuffer x;  // R32 unless F % 4 = 0
layout(binding = 1) writeonly buffer Y { Span y[]; };
layout(push_constant) uniform Push { uint rows; IDENTITY };

void main() {
  EACH_SPAN(i, rows * SPANS) {
    uint r = i / SPANS, f = 4 * SPAN * (i % SPANS);
    vec4 v[SPAN];
    [[unroll]] for (uint j = 0; j < SPAN; j++) {
      vec4 a = fetch4(x, F % 4 == 0, int(2 * r * F), int(f + 4 * j), int(F));
      vec4 b = fetch4(x, F % 4 == 0, int((2 * r + 1) * F), int(f + 4 * j), int(F));
      v[j] = a * gelu(b);
    }
#ifdef WIDE
    STORE(y, i, span(v))
#else
    STORE4(y, r * F, f, F, v[0])
#endif
  }
}
