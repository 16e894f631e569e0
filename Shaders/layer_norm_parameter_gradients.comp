#version 450
// dweight[k, c] = sum over chunk k's rows of dy[r, c] (x[r, c] - mean[r]) rstd[r], dbias[k, c] = sum of dy[r, c].
// Rows are C / ROW rows of x side by side, each with its own mean and rstd, where weight and bias have as many rows. In the wide form
// the columns of a tile lie in one of them.
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const uint C = 64;
layout(constant_id = 3) const uint ROW = 64;
#include "columns.glsl"
layout(local_size_x_id = 2) in;
// R32 unless C % 4 = 0; mean and rstd always
layout(binding = 0) uniform textureBuffer x;
layout(binding = 1) uniform textureBuffer mean;
layout(binding = 2) uniform textureBuffer rstd;
layout(binding = 3) uniform textureBuffer dy;
SPANS(4, dweight)
SPANS(5, dbias)
layout(push_constant) uniform Push {
  uint rows;
  uint chunk;
  uint chunks;
  IDENTITY
  ADDRESS(x) ADDRESS(mean) ADDRESS(rstd) ADDRESS(dy)
};

// What the rows of x have that columns c ..< c + 4 of row r lie in.
#ifdef WIDE
#define STATISTIC(source, r, c) floats_at(source##_address, int((r) * (C / ROW) + (c) / ROW)).at[0]
#else
#define STATISTIC(source, r, c) statistic(source, r, c)
vec4 statistic(textureBuffer source, uint r, uint c) {
  uint first = r * (C / ROW);
  if (ROW == C || ROW % 4 == 0) return vec4(texelFetch(source, int(first + c / ROW)).x);
  uvec4 row = first + min(c + uvec4(0, 1, 2, 3), uvec4(C - 1)) / ROW;
  return vec4(
      texelFetch(source, int(row.x)).x, texelFetch(source, int(row.y)).x, texelFetch(source, int(row.z)).x,
      texelFetch(source, int(row.w)).x);
}
#endif

mat2x4 value(uint r, uint c) {
  vec4 g = COLUMNS(dy, r, c);
  return mat2x4(g * ((COLUMNS(x, r, c) - STATISTIC(mean, r, c)) * STATISTIC(rstd, r, c)), g);
}

void main() {
  TILE(k, c, chunks)
  mat2x4 sum = mat2x4(0.0);
  SUM_ROWS(sum, k * chunk, min((k + 1) * chunk, rows), value)
  STORE_COLUMNS(dweight, k, c, sum[0])
  STORE_COLUMNS(dbias, k, c, sum[1])
}
