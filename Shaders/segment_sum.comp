#version 450
// y[s, j] = factor times the sum of x[s, k, j] over k < K, j < INNER; the view of x is R32 unless INNER % 4 = 0.
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint INNER = 64;
layout(binding = 0) uniform textureBuffer x;
layout(binding = 1) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Push {
  uint count;
  uint K;
  float factor;
};

void main() {
  uint i = linear_index();
  vec4 sum = vec4(0.0);
  if (INNER % 4 == 0) {
    uint start = i / (INNER / 4) * K * (INNER / 4) + i % (INNER / 4);
    for (uint k = 0; k < K; k++) sum += texelFetch(x, int(start + k * (INNER / 4)));
  } else {
    uvec4 e = min(4 * i + uvec4(0, 1, 2, 3), uvec4(count - 1));
    uvec4 start = e / INNER * K * INNER + e % INNER;
    for (uint k = 0; k < K; k++) {
      uvec4 at = start + k * INNER;
      sum += vec4(
          texelFetch(x, int(at.x)).x, texelFetch(x, int(at.y)).x, texelFetch(x, int(at.z)).x,
          texelFetch(x, int(at.w)).x);
    }
  }
  if (4 * i < count) y[i] = sum * factor;
}
