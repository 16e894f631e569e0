#version 450
// y[r, c] = x[r, c] + bias[c] over count elements; the view of bias is R32 unless C % 4 = 0.
#extension GL_GOOGLE_include_directive : require
#include "elementwise.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint C = 64;

layout(binding = 0) uniform textureBuffer x;
layout(binding = 1) uniform textureBuffer bias;
layout(binding = 2) writeonly buffer Y { Span y[]; };
layout(push_constant) uniform Push { uint count4; IDENTITY };

vec4 bias4(uint i) {
  if (C % 4 == 0) return texelFetch(bias, int(i % (C / 4)));
  uvec4 c = (4 * i + uvec4(0, 1, 2, 3)) % C;
  return vec4(
      texelFetch(bias, int(c.x)).x, texelFetch(bias, int(c.y)).x, texelFetch(bias, int(c.z)).x,
      texelFetch(bias, int(c.w)).x);
}

vec4 value(uint i) { return texelFetch(x, int(i)) + bias4(i); }

void main() {
  EACH_SPAN(i, count4 / SPAN) STORE(y, i, SPAN_OF(value, i))
}
