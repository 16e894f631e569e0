#version 450
// y[k, c] = the sum of x[r, c] over the rows r of chunk k.
// A cluster takes four columns, its lanes every CLUSTER-th row.
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const uint C = 64;
const uint COLUMNS4 = (C + 3) / 4;
#include "cluster.glsl"
#include "fetch4.glsl"
#include "store4.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer x;  // R32 unless C % 4 = 0
layout(binding = 1) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Push {
  uint rows;
  uint chunk;
};

vec4 x4(uint r, uint c) { return fetch4(x, C % 4 == 0, int(r * C), int(c), int(C)); }

void main() {
  uint k = linear_cluster() / COLUMNS4;
  uint c = 4 * (linear_cluster() % COLUMNS4);
  uint end = min((k + 1) * chunk, rows);
  uint r = k * chunk + cluster_lane();
  vec4 sum = vec4(0.0);
  for (; r + 3 * CLUSTER < end; r += 4 * CLUSTER) {
    sum += (x4(r, c) + x4(r + CLUSTER, c)) + (x4(r + 2 * CLUSTER, c) + x4(r + 3 * CLUSTER, c));
  }
  for (; r < end; r += CLUSTER) sum += x4(r, c);
  sum = cluster_sum(sum);
  if (cluster_lane() == 0 && k * chunk < rows) STORE4(y, k * C, c, C, sum);
}
