#version 450
// dp[r, c] = 2 dy[r] (p[r, c] - g) / U^2, see block_model.comp.
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer p;  // R32
layout(binding = 1) readonly buffer Block { uint block[]; };
layout(binding = 2) uniform textureBuffer dy;  // R32
layout(binding = 3) writeonly buffer Dp { float dp[]; };
layout(push_constant) uniform Push {
  uint U;
  uint size;
  float within;
  float across;
};

void main() {
  uint i = linear_index();
  uint e = min(i, U * U - 1);
  uint r = e / U;
  float difference = texelFetch(p, int(e)).x - (e % U / size == block[r] ? within : across);
  if (i < U * U) dp[e] = 2.0 * texelFetch(dy, int(r)).x * difference / (float(U) * float(U));
}
