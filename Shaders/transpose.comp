#version 450
// y[n, k] = x[k, n], both extents multiples of 4; an invocation turns a block of 4 x 4.
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer x;  // RGBA32F
layout(binding = 1) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Push {
  uint K4;
  uint N4;
};

void main() {
  uint i = linear_index();
  if (i >= K4 * N4) return;
  uint k4 = i % K4, n4 = i / K4;
  vec4 row[4];
  for (int j = 0; j < 4; j++) row[j] = texelFetch(x, int((4 * k4 + j) * N4 + n4));
  for (int j = 0; j < 4; j++) y[(4 * n4 + j) * K4 + k4] = vec4(row[0][j], row[1][j], row[2][j], row[3][j]);
}
