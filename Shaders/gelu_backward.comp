#version 450
// dx[i] = dy[i] gelu'(x[i]), count4 vectors of four.
#extension GL_GOOGLE_include_directive : require
#include "elementwise.glsl"
#include "gelu.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer x;
layout(binding = 1) uniform textureBuffer dy;
layout(binding = 2) writeonly buffer DX { Span dx[]; };
layout(push_constant) uniform Push { uint count4; IDENTITY };

vec4 value(uint i) { return texelFetch(dy, int(i)) * gelu_derivative(texelFetch(x, int(i))); }

void main() {
  EACH_SPAN(i, count4 / SPAN) STORE(dx, i, SPAN_OF(value, i))
}
