#version 450
// y[e, n] = the sum of x[s, n] over the rows offsets[e] ..< offsets[e + 1]: the bias gradient of grouped_matmul.
// A cluster takes four columns, its lanes every CLUSTER-th row. Groups: x columns / 4 / clusters per group, y experts.
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
layout(constant_id = 1) const bool ALIGNED = true;  // N is a multiple of 4
#include "cluster.glsl"
#include "fetch4.glsl"
#include "store4.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer x;          // [S, N]
layout(binding = 1) uniform utextureBuffer offsets;   // [E + 1]
layout(binding = 2) writeonly buffer Y { vec4 y[]; };  // [E, N]
layout(push_constant) uniform Push { int N; };

void main() {
  int n = int(4 * (gl_WorkGroupID.x * (gl_WorkGroupSize.x / CLUSTER) + cluster_index()));
  int inside = min(n, (N - 1) / 4 * 4);
  int expert = int(gl_WorkGroupID.y);
  int end = int(texelFetch(offsets, expert + 1).x);
  vec4 sum = vec4(0.0);
  for (int s = int(texelFetch(offsets, expert).x + cluster_lane()); s < end; s += int(CLUSTER))
    sum += fetch4(x, ALIGNED, s * N, inside, N);
  sum = cluster_sum(sum);
  if (cluster_lane() == 0 && n < N) STORE4(y, expert * N, n, N, sum);
}
