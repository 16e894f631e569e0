#version 450
// y[i] = a[i] + b[i], count4 vectors of four.
#extension GL_GOOGLE_include_directive : require
#include "elementwise.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer a;
layout(binding = 1) uniform textureBuffer b;
SPANS(2, y)
layout(push_constant) uniform Push { uint count4; IDENTITY ADDRESS(a) ADDRESS(b) };

vec4 value(uint i) { return READ(a, i) + READ(b, i); }

void main() {
  ELEMENTWISE(y, count4, value)
}
