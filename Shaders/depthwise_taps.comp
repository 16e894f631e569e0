#version 450
// taps[t, c] = w[c, t], or w[c, T - 1 - t] where FLIP: w [C, T], taps [T, C4] vectors of four channels, zeros past the last.
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint C = 64;
layout(constant_id = 1) const bool FLIP = false;
const uint T = 49;
const uint C4 = (C + 3) / 4;

layout(binding = 0) uniform textureBuffer w;  // R32
layout(binding = 1) writeonly buffer Taps { vec4 taps[]; };

void main() {
  uint i = linear_index();
  uint t = FLIP ? T - 1 - i / C4 : i / C4;
  uvec4 c = 4 * (i % C4) + uvec4(0, 1, 2, 3);
  uvec4 at = min(c, uvec4(C - 1)) * T + t;
  vec4 v = vec4(
      texelFetch(w, int(at.x)).x, texelFetch(w, int(at.y)).x, texelFetch(w, int(at.z)).x, texelFetch(w, int(at.w)).x);
  if (i < T * C4) taps[i] = mix(vec4(0.0), v, lessThan(c, uvec4(C)));
}
