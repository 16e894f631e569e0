#version 450
// partial[k] = the sum of vectors k chunk4 ..< (k + 1) chunk4 of x, which has count elements: a cluster each.
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
#include "cluster.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer x;
layout(binding = 1) writeonly buffer Partial { float partial[]; };
layout(push_constant) uniform Push {
  uint count;
  uint chunk4;
};

void main() {
  uint k = linear_cluster();
  uint whole = count / 4;
  uint end = min((k + 1) * chunk4, whole);
  vec4 sum = vec4(0.0);
  for (uint i = k * chunk4 + cluster_lane(); i < end; i += CLUSTER) sum += texelFetch(x, int(i));
  // The vector that the end of x cuts: its rest is padding.
  uint rest = count % 4;
  if (rest > 0 && whole / chunk4 == k && cluster_lane() == 0) {
    vec4 last = texelFetch(x, int(whole));
    sum += vec4(last.x, rest > 1 ? last.y : 0.0, rest > 2 ? last.z : 0.0, 0.0);
  }
  sum = cluster_sum(sum);
  if (cluster_lane() == 0 && k * chunk4 * 4 < count) partial[k] = (sum.x + sum.y) + (sum.z + sum.w);
}
