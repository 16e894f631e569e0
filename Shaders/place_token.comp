#version 450
// y[b, t, c] = x[b, c] where t = 0, else 0; INNER = T C elements of y per sample, count in all.
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint C = 64;
layout(constant_id = 1) const uint INNER = 64;

layout(binding = 0) uniform textureBuffer x;  // R32 unless C % 4 = 0
layout(binding = 1) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Push { uint count; };

float x1(uint e) {
  uint j = e % INNER;
  float value = texelFetch(x, int(e / INNER * C + min(j, C - 1))).x;
  return j < C ? value : 0.0;
}

vec4 x4(uint i) {
  if (C % 4 == 0) {
    uint j = i % (INNER / 4);
    vec4 value = texelFetch(x, int(i / (INNER / 4) * (C / 4) + min(j, C / 4 - 1)));
    return j < C / 4 ? value : vec4(0.0);
  }
  uvec4 e = min(4 * i + uvec4(0, 1, 2, 3), uvec4(count - 1));
  return vec4(x1(e.x), x1(e.y), x1(e.z), x1(e.w));
}

void main() {
  uint i = linear_index();
  if (4 * i < count) y[i] = x4(i);
}
