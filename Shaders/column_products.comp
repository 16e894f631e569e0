#version 450
// y[k, c] = the sum of a[r, c] b[r, c] over the rows r of chunk k.
// A cluster takes four columns, its lanes every CLUSTER-th row.
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const uint C = 64;
const uint COLUMNS4 = (C + 3) / 4;
#include "cluster.glsl"
#include "fetch4.glsl"
#include "store4.glsl"
layout(local_size_x = 64) in;
// R32 unless C % 4 = 0
layout(binding = 0) uniform textureBuffer a;
layout(binding = 1) uniform textureBuffer b;
layout(binding = 2) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Push {
  uint rows;
  uint chunk;
};

vec4 product(uint r, uint c) {
  return fetch4(a, C % 4 == 0, int(r * C), int(c), int(C)) * fetch4(b, C % 4 == 0, int(r * C), int(c), int(C));
}

void main() {
  uint k = linear_cluster() / COLUMNS4;
  uint c = 4 * (linear_cluster() % COLUMNS4);
  uint end = min((k + 1) * chunk, rows);
  vec4 sum = vec4(0.0);
  for (uint r = k * chunk + cluster_lane(); r < end; r += CLUSTER) sum += product(r, c);
  sum = cluster_sum(sum);
  if (cluster_lane() == 0 && k * chunk < rows) STORE4(y, k * C, c, C, sum);
}
