#version 450
// y[e, n] = the sum of x[s, n] over the rows offsets[e] ..< offsets[e + 1]: the bias gradient of grouped_matmul.
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const uint C = 64;
#include "columns.glsl"
layout(local_size_x_id = 2) in;
layout(binding = 0) uniform textureBuffer x;          // [S, C], R32 unless C % 4 = 0
layout(binding = 1) uniform utextureBuffer offsets;   // [E + 1]
SPANS(2, y)  // [E, C]
layout(push_constant) uniform Push {
  uint rows;  // S
  uint experts;
  IDENTITY
  ADDRESS(x) ADDRESS(offsets)
};

#ifdef WIDE
#define OFFSET(e) uint(integer_at(offsets_address, int(e)))
#else
#define OFFSET(e) texelFetch(offsets, int(e)).x
#endif

vec4 value(uint r, uint c) { return COLUMNS(x, r, c); }

void main() {
  TILE(e, c, experts)
  vec4 sum = vec4(0.0);
  SUM_ROWS(sum, OFFSET(e), OFFSET(e + 1), value)
  STORE_COLUMNS(y, e, c, sum)
}
