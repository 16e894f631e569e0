#version 450
// y[i] = a[i] + b[i], count4 vectors of four.
#extension GL_GOOGLE_include_directive : require
#include "elementwise.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer a;
layout(binding = 1) uniform textureBuffer b;
layout(binding = 2) writeonly buffer Y { Span y[]; };
layout(push_constant) uniform Push { uint count4; IDENTITY };

vec4 value(uint i) { return texelFetch(a, int(i)) + texelFetch(b, int(i)); }

void main() {
  EACH_SPAN(i, count4 / SPAN) STORE(y, i, SPAN_OF(value, i))
}
