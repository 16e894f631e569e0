#version 450
// y[b, t] = [x[b, t] | grid[:, t]]: x [B, T, C], grid [G, T] -> y [B, T, C + G], count elements.
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint T = 16;
layout(constant_id = 1) const uint C = 64;
layout(constant_id = 2) const uint G = 8;
// R32
layout(binding = 0) uniform textureBuffer x;
layout(binding = 1) uniform textureBuffer grid;
layout(binding = 2) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Push { uint count; };

float value(uint e) {
  uint c = e % (C + G), row = e / (C + G);
  if (c < C) return texelFetch(x, int(row * C + c)).x;
  return texelFetch(grid, int((c - C) * T + row % T)).x;
}

void main() {
  uint i = linear_index();
  uvec4 e = min(4 * i + uvec4(0, 1, 2, 3), uvec4(count - 1));
  vec4 v = vec4(value(e.x), value(e.y), value(e.z), value(e.w));
  if (4 * i < count) y[i] = v;
}
