#version 450
// y[b, i, j, c] = the sum over the taps of x[b, i + u - 3, j + v - 3, c] taps[u, v, c]; taps are [7, 7, C4] vectors.
// An invocation takes four channels of STRIP neighbouring pixels of a row, so that they share what they read.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"
#include "fetch4.glsl"
#include "store4.glsl"
#include "depthwise.glsl"
layout(local_size_x = 64) in;
const int STRIP = 4;

layout(binding = 0) uniform textureBuffer x;  // R32 unless C % 4 = 0
layout(binding = 1) uniform textureBuffer taps;
layout(binding = 2) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Push { uint batch; };

void main() {
  const uint strips = (W + STRIP - 1) / STRIP;
  uint index = linear_index();
  uint c4 = index % C4;
  int left = int(index / C4 % strips) * STRIP;
  int i = int(index / (C4 * strips) % H);
  int b = int(index / (C4 * strips * H));
  vec4 sum[STRIP];
  [[unroll]] for (int s = 0; s < STRIP; s++) sum[s] = vec4(0.0);
  for (int u = 0; u < K; u++) {
    vec4 row[STRIP + K - 1];
    [[unroll]] for (int j = 0; j < STRIP + K - 1; j++) {
      row[j] = pixel(x, min(b, int(batch) - 1), i + u - K / 2, left + j - K / 2, 4 * c4);
    }
    [[unroll]] for (int v = 0; v < K; v++) {
      vec4 tap = texelFetch(taps, (u * K + v) * int(C4) + int(c4));
      [[unroll]] for (int s = 0; s < STRIP; s++) sum[s] += row[s + v] * tap;
    }
  }
  [[unroll]] for (int s = 0; s < STRIP; s++) {
    uint start = ((uint(b) * H + uint(i)) * W + uint(left + s)) * C;
    if (b < int(batch) && left + s < int(W)) STORE4(y, start, 4 * c4, C, sum[s]);
  }
}
