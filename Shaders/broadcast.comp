#version 450
// y[i] = x[0], count4 vectors of four. The view of x is R32.
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer x;
layout(binding = 1) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Push { uint count4; };

void main() {
  uint i = linear_index();
  if (i < count4) y[i] = vec4(texelFetch(x, 0).x);
}
