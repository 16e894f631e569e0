#version 450
// dx[i] = dy[i] gelu'(x[i]), count4 vectors of four.
#extension GL_GOOGLE_include_directive : require
#include "elementwise.glsl"
#include "gelu.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer x;
layout(binding = 1) uniform textureBuffer dy;
SPANS(2, dx)
layout(push_constant) uniform Push { uint count4; IDENTITY ADDRESS(x) ADDRESS(dy) };

vec4 value(uint i) { return READ(dy, i) * gelu_derivative(READ(x, i)); }

void main() {
  ELEMENTWISE(dx, count4, value)
}
