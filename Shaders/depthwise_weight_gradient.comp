#version 450
// partial[k, c, u, v] = the sum of x[b, i + u - 3, j + v - 3, c] dy[b, i, j, c] over the image rows (b, i) of chunk k.
// An invocation takes four channels and one u; along a row it keeps the seven pixels that the v see.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"
#include "fetch4.glsl"
#include "depthwise.glsl"
layout(local_size_x = 64) in;

// R32 unless C % 4 = 0
layout(binding = 0) uniform textureBuffer x;
layout(binding = 1) uniform textureBuffer dy;
layout(binding = 2) writeonly buffer Partial { float partial[]; };
layout(push_constant) uniform Push {
  uint rows;  // B H
  uint chunk;
};

void main() {
  uint index = linear_index();
  uint c = 4 * (index % C4);
  int u = int(index / C4 % K);
  uint k = index / (C4 * K);
  vec4 sum[K];
  [[unroll]] for (int v = 0; v < K; v++) sum[v] = vec4(0.0);
  uint end = min((k + 1) * chunk, rows);
  for (uint r = k * chunk; r < end; r++) {
    int b = int(r / H), i = int(r % H);
    vec4 seen[K];
    [[unroll]] for (int v = 0; v < K - 1; v++) seen[v + 1] = pixel(x, b, i + u - K / 2, v - K / 2, c);
    for (int j = 0; j < int(W); j++) {
      [[unroll]] for (int v = 0; v < K - 1; v++) seen[v] = seen[v + 1];
      seen[K - 1] = pixel(x, b, i + u - K / 2, j + K / 2, c);
      vec4 g = pixel(dy, b, i, j, c);
      [[unroll]] for (int v = 0; v < K; v++) sum[v] += seen[v] * g;
    }
  }
  if (k * chunk < rows) {
    [[unroll]] for (int v = 0; v < K; v++) {
      for (uint e = 0; e < 4 && c + e < C; e++) partial[((k * C + c + e) * K + uint(u)) * K + uint(v)] = sum[v][e];
    }
  }
}
