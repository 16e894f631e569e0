#version 450
// y[i] = x[i] + (2 u[i] - 1) scale |x[i]|, count4 vectors of four.
#extension GL_GOOGLE_include_directive : require
#include "elementwise.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer x;
layout(binding = 1) uniform textureBuffer u;
SPANS(2, y)
layout(push_constant) uniform Push {
  uint count4;
  float scale;
  IDENTITY
};

vec4 value(uint i) {
  vec4 v = texelFetch(x, int(i));
  return v + (2.0 * texelFetch(u, int(i)) - 1.0) * scale * abs(v);
}

void main() {
  EACH_SPAN(i, count4 / SPAN) STORE(y, i, SPAN_OF(value, i))
}
