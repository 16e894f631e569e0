#version 450
// y[r] = minus the sum of d = 1 - cosine[r, c] over c < r with d < hinge: a cluster per row of cosine [U, U].
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
#include "cluster.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer cosine;  // R32
layout(binding = 1) writeonly buffer Y { float y[]; };
layout(push_constant) uniform Push {
  uint U;
  float hinge;
};

void main() {
  uint r = linear_cluster();
  uint row = min(r, U - 1);
  float sum = 0.0;
  for (uint c = cluster_lane(); c < row; c += CLUSTER) {
    float d = 1.0 - texelFetch(cosine, int(row * U + c)).x;
    sum += d < hinge ? d : 0.0;
  }
  sum = cluster_sum(sum);
  if (r < U && cluster_lane() == 0) y[r] = -sum;
}
