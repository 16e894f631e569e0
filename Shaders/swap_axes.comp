#version 450
// y[o, n, m, d] = x[o, m, n, d], m < M, n < N, d < D, count elements; the view of x is R32 unless D % 4 = 0.
#extension GL_GOOGLE_include_directive : require
#include "elementwise.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint M = 17;
layout(constant_id = 1) const uint N = 4;
layout(constant_id = 2) const uint D = 16;

layout(binding = 0) uniform textureBuffer x;
SPANS(1, y)
layout(push_constant) uniform Push { uint count; IDENTITY };

// Where x has what y has at i, in elements or in vectors.
int source(uint i, uint extent) {
  uint d = i % extent, row = i / extent;
  uint m = row % M, n = row / M % N, o = row / (M * N);
  return int(((o * M + m) * N + n) * extent + d);
}

vec4 value(uint i) {
  if (D % 4 == 0) return texelFetch(x, source(i, D / 4));
  uvec4 e = min(4 * i + uvec4(0, 1, 2, 3), uvec4(count - 1));
  return vec4(
      texelFetch(x, source(e.x, D)).x, texelFetch(x, source(e.y, D)).x, texelFetch(x, source(e.z, D)).x,
      texelFetch(x, source(e.w, D)).x);
}

void main() {
  EACH_SPAN(i, (count + 3) / 4 / SPAN) STORE(y, i, SPAN_OF(value, i))
}
