#version 450
// y[b, t, c] = x[b, t + 1, c], INNER = (T - 1) C elements of y per sample, count in all.
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint C = 64;
layout(constant_id = 1) const uint INNER = 64;

layout(binding = 0) uniform textureBuffer x;  // R32 unless C % 4 = 0
layout(binding = 1) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Push { uint count; };

vec4 x4(uint i) {
  if (C % 4 == 0) return texelFetch(x, int(i + (i / (INNER / 4) + 1) * (C / 4)));
  uvec4 e = min(4 * i + uvec4(0, 1, 2, 3), uvec4(count - 1));
  e += (e / INNER + 1) * C;
  return vec4(
      texelFetch(x, int(e.x)).x, texelFetch(x, int(e.y)).x, texelFetch(x, int(e.z)).x, texelFetch(x, int(e.w)).x);
}

void main() {
  uint i = linear_index();
  if (4 * i < count) y[i] = x4(i);
}
