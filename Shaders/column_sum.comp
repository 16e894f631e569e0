#version 450
// y[k, c] = the sum of x[r, c] over the rows r of chunk k.
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const uint C = 64;
#include "columns.glsl"
layout(local_size_x_id = 2) in;
layout(binding = 0) uniform textureBuffer x;  // R32 unless C % 4 = 0
SPANS(1, y)
layout(push_constant) uniform Push {
  uint rows;
  uint chunk;
  uint chunks;
  IDENTITY
  ADDRESS(x)
};

vec4 value(uint r, uint c) { return COLUMNS(x, r, c); }

void main() {
  TILE(k, c, chunks)
  vec4 sum = vec4(0.0);
  SUM_ROWS(sum, k * chunk, min((k + 1) * chunk, rows), value)
  STORE_COLUMNS(y, k, c, sum)
}
