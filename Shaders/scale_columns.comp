#version 450
// y[i] = x[i] scale[i % N] (+ residual[i]), count4 vectors of four; the view of scale is R32 unless N % 4 = 0.
#extension GL_GOOGLE_include_directive : require
#include "elementwise.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint N = 64;
layout(constant_id = 1) const bool RESIDUAL = false;

layout(binding = 0) uniform textureBuffer x;
layout(binding = 1) uniform textureBuffer scale;
layout(binding = 2) uniform textureBuffer residual;
layout(binding = 3) writeonly buffer Y { Span y[]; };
layout(push_constant) uniform Push { uint count4; IDENTITY };

vec4 scale4(uint i) {
  if (N % 4 == 0) return texelFetch(scale, int(i % (N / 4)));
  uvec4 c = (4 * i + uvec4(0, 1, 2, 3)) % N;
  return vec4(
      texelFetch(scale, int(c.x)).x, texelFetch(scale, int(c.y)).x, texelFetch(scale, int(c.z)).x,
      texelFetch(scale, int(c.w)).x);
}

vec4 value(uint i) {
  vec4 scaled = texelFetch(x, int(i)) * scale4(i);
  return RESIDUAL ? scaled + texelFetch(residual, int(i)) : scaled;
}

void main() {
  EACH_SPAN(i, count4 / SPAN) STORE(y, i, SPAN_OF(value, i))
}
