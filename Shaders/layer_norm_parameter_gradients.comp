#version 450
// dweight[k, c] = sum over chunk k's rows of dy[r, c] (x[r, c] - mean[r]) rstd[r], dbias[k, c] = sum of dy[r, c].
// Rows are C / ROW rows of x side by side, each with its own mean and rstd, where weight and bias have as many rows.
// A cluster takes four columns, its lanes every CLUSTER-th row.
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const uint C = 64;
layout(constant_id = 2) const uint ROW = 64;
const uint COLUMNS4 = (C + 3) / 4;
#include "cluster.glsl"
#include "fetch4.glsl"
#include "store4.glsl"
layout(local_size_x = 64) in;
// R32 unless C % 4 = 0; mean and rstd always
layout(binding = 0) uniform textureBuffer x;
layout(binding = 1) uniform textureBuffer mean;
layout(binding = 2) uniform textureBuffer rstd;
layout(binding = 3) uniform textureBuffer dy;
layout(binding = 4) writeonly buffer DWeight { vec4 dweight[]; };
layout(binding = 5) writeonly buffer DBias { vec4 dbias[]; };
layout(push_constant) uniform Push {
  uint rows;
  uint chunk;
};

// What the rows of x have that columns c ..< c + 4 of row r lie in.
vec4 statistic(textureBuffer source, uint r, uint c) {
  uint first = r * (C / ROW);
  if (ROW == C || ROW % 4 == 0) return vec4(texelFetch(source, int(first + c / ROW)).x);
  uvec4 row = first + min(c + uvec4(0, 1, 2, 3), uvec4(C - 1)) / ROW;
  return vec4(
      texelFetch(source, int(row.x)).x, texelFetch(source, int(row.y)).x, texelFetch(source, int(row.z)).x,
      texelFetch(source, int(row.w)).x);
}

void accumulate(uint r, uint c, inout vec4 sum_w, inout vec4 sum_b) {
  vec4 g = fetch4(dy, C % 4 == 0, int(r * C), int(c), int(C));
  vec4 v = fetch4(x, C % 4 == 0, int(r * C), int(c), int(C));
  sum_b += g;
  sum_w += g * ((v - statistic(mean, r, c)) * statistic(rstd, r, c));
}

void main() {
  uint k = linear_cluster() / COLUMNS4;
  uint c = 4 * (linear_cluster() % COLUMNS4);
  uint end = min((k + 1) * chunk, rows);
  uint r = k * chunk + cluster_lane();
  vec4 sum_w = vec4(0.0);
  vec4 sum_b = vec4(0.0);
  for (; r + CLUSTER < end; r += 2 * CLUSTER) {
    accumulate(r, c, sum_w, sum_b);
    accumulate(r + CLUSTER, c, sum_w, sum_b);
  }
  if (r < end) accumulate(r, c, sum_w, sum_b);
  sum_w = cluster_sum(sum_w);
  sum_b = cluster_sum(sum_b);
  if (cluster_lane() == 0 && k * chunk < rows) {
    STORE4(dweight, k * C, c, C, sum_w);
    STORE4(dbias, k * C, c, C, sum_b);
  }
}
