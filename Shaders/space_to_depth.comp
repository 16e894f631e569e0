#version 450
// y[b, i, j, c, u, v] = x[b, i P + u, j P + v, c] for x [B, H, W, C], or back where INVERSE: count elements.
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint H = 16;
layout(constant_id = 1) const uint W = 16;
layout(constant_id = 2) const uint C = 64;
layout(constant_id = 3) const uint P = 2;
layout(constant_id = 4) const bool INVERSE = false;
const uint ACROSS = W / P, DOWN = H / P;

layout(binding = 0) uniform textureBuffer x;  // R32
layout(binding = 1) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Push { uint count; };

uint source(uint e) {
  if (INVERSE) {
    uint c = e % C, pixel = e / C;
    uint right = pixel % W, down = pixel / W % H, b = pixel / (W * H);
    uint cell = (b * DOWN + down / P) * ACROSS + right / P;
    return (cell * C + c) * P * P + down % P * P + right % P;
  }
  uint v = e % P, u = e / P % P, c = e / (P * P) % C, cell = e / (P * P * C);
  uint j = cell % ACROSS, i = cell / ACROSS % DOWN, b = cell / (ACROSS * DOWN);
  return ((b * H + i * P + u) * W + j * P + v) * C + c;
}

void main() {
  uint i = linear_index();
  uvec4 e = min(4 * i + uvec4(0, 1, 2, 3), uvec4(count - 1));
  vec4 v = vec4(
      texelFetch(x, int(source(e.x))).x, texelFetch(x, int(source(e.y))).x, texelFetch(x, int(source(e.z))).x,
      texelFetch(x, int(source(e.w))).x);
  if (4 * i < count) y[i] = v;
}
