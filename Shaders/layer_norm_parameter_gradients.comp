#version 450
// dweight[k, c] = sum over chunk k's rows of dy[r, c] (x[r, c] - mean[r]) rstd[r], dbias[k, c] = sum of dy[r, c].
// A cluster takes four columns, its lanes every CLUSTER-th row.
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const uint C = 64;
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

void accumulate(uint r, uint c, inout vec4 sum_w, inout vec4 sum_b) {
  vec4 g = fetch4(dy, C % 4 == 0, int(r * C), int(c), int(C));
  vec4 v = fetch4(x, C % 4 == 0, int(r * C), int(c), int(C));
  sum_b += g;
  sum_w += g * ((v - texelFetch(mean, int(r)).x) * texelFetch(rstd, int(r)).x);
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
