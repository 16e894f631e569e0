#version 450
// y[o] = x[o, START ..< START + LENGTH], rows of x of WIDTH elements, count elements in all; the view is R32 unless all
// three are multiples of 4.
#extension GL_GOOGLE_include_directive : require
#include "elementwise.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint WIDTH = 64;
layout(constant_id = 1) const uint START = 0;
layout(constant_id = 2) const uint LENGTH = 64;
layout(binding = 0) uniform textureBuffer x;
SPANS(1, y)
layout(push_constant) uniform Push { uint count; IDENTITY };

int source(uint i) { return int(i / LENGTH * WIDTH + START + i % LENGTH); }

vec4 value(uint i) {
  if (WIDTH % 4 == 0 && START % 4 == 0 && LENGTH % 4 == 0) return texelFetch(x, source(4 * i) >> 2);
  uvec4 e = min(4 * i + uvec4(0, 1, 2, 3), uvec4(count - 1));
  return vec4(
      texelFetch(x, source(e.x)).x, texelFetch(x, source(e.y)).x, texelFetch(x, source(e.z)).x,
      texelFetch(x, source(e.w)).x);
}

void main() {
  EACH_SPAN(i, (count + 3) / 4 / SPAN) STORE(y, i, SPAN_OF(value, i))
}
