#version 450
// y[o] = [a[o] | b[o]], rows of A and of B elements, count elements in all; the views are R32 unless A and B are multiples of 4.
#extension GL_GOOGLE_include_directive : require
#include "elementwise.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint A = 64;
layout(constant_id = 1) const uint B = 64;
layout(binding = 0) uniform textureBuffer a;
layout(binding = 1) uniform textureBuffer b;
SPANS(2, y)
layout(push_constant) uniform Push { uint count; IDENTITY };

// What y has at i, in elements or in vectors.
vec4 entry(uint i, uint extent_a, uint extent_b) {
  uint o = i / (extent_a + extent_b), j = i % (extent_a + extent_b);
  if (j < extent_a) return texelFetch(a, int(o * extent_a + j));
  return texelFetch(b, int(o * extent_b + j - extent_a));
}

vec4 value(uint i) {
  if (A % 4 == 0 && B % 4 == 0) return entry(i, A / 4, B / 4);
  uvec4 e = min(4 * i + uvec4(0, 1, 2, 3), uvec4(count - 1));
  return vec4(entry(e.x, A, B).x, entry(e.y, A, B).x, entry(e.z, A, B).x, entry(e.w, A, B).x);
}

void main() {
  EACH_SPAN(i, (count + 3) / 4 / SPAN) STORE(y, i, SPAN_OF(value, i))
}
