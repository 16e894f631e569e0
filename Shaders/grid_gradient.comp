#version 450
// dgrid[g, t] = the sum over b of dy[b, t, C + g]: dy [B, T, C + G] -> dgrid [G, T].
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint T = 16;
layout(constant_id = 1) const uint C = 64;
layout(constant_id = 2) const uint G = 8;
layout(binding = 0) uniform textureBuffer dy;  // R32
layout(binding = 1) writeonly buffer Dgrid { float dgrid[]; };
layout(push_constant) uniform Push { uint batch; };

void main() {
  uint i = linear_index();
  // Neighbours read neighbouring channels.
  uint g = i % G, t = min(i / G, T - 1);
  float sum = 0.0;
  for (uint b = 0; b < batch; b++) sum += texelFetch(dy, int((b * T + t) * (C + G) + C + g)).x;
  if (i < G * T) dgrid[g * T + t] = sum;
}
