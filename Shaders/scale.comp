#version 450
// y[i] = factor x[i], count4 vectors of four.
#extension GL_GOOGLE_include_directive : require
#include "elementwise.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer x;
SPANS(1, y)
layout(push_constant) uniform Push {
  uint count4;
  float factor;
  IDENTITY
  ADDRESS(x)
};

vec4 value(uint i) { return factor * READ(x, i); }

void main() {
  ELEMENTWISE(y, count4, value)
}
