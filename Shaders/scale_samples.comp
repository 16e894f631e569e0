#version 450
// y[b, j] = scale[b] x[b, j] (+ residual[b, j]), j < INNER, count elements in all. The view of scale is R32.
#extension GL_GOOGLE_include_directive : require
#include "elementwise.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint INNER = 64;
layout(constant_id = 1) const bool RESIDUAL = false;

layout(binding = 0) uniform textureBuffer x;
layout(binding = 1) uniform textureBuffer scale;
layout(binding = 2) uniform textureBuffer residual;
layout(binding = 3) writeonly buffer Y { Span y[]; };
layout(push_constant) uniform Push { uint count; IDENTITY };

vec4 scale4(uint i) {
  if (INNER % 4 == 0) return vec4(texelFetch(scale, int(i / (INNER / 4))).x);
  uvec4 b = min(4 * i + uvec4(0, 1, 2, 3), uvec4(count - 1)) / INNER;
  return vec4(
      texelFetch(scale, int(b.x)).x, texelFetch(scale, int(b.y)).x, texelFetch(scale, int(b.z)).x,
      texelFetch(scale, int(b.w)).x);
}

vec4 value(uint i) {
  vec4 scaled = texelFetch(x, int(i)) * scale4(i);
  return RESIDUAL ? scaled + texelFetch(residual, int(i)) : scaled;
}

void main() {
  EACH_SPAN(i, (count + 3) / 4 / SPAN) STORE(y, i, SPAN_OF(value, i))
}
