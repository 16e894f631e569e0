#version 450
// y[r] = the sum over c of (p[r, c] - g)^2 / U^2, g = inside where c lies in block[r], else across: p [U, U], block [U].
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
#include "cluster.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer p;  // R32
layout(binding = 1) readonly buffer Block { uint block[]; };
layout(binding = 2) writeonly buffer Y { float y[]; };
layout(push_constant) uniform Push {
  uint U;
  uint size;  // of a block
  float within;
  float across;
};

void main() {
  uint r = linear_cluster();
  uint row = min(r, U - 1);
  uint own = block[row];
  float sum = 0.0;
  for (uint c = cluster_lane(); c < U; c += CLUSTER) {
    float difference = texelFetch(p, int(row * U + c)).x - (c / size == own ? within : across);
    sum += difference * difference;
  }
  sum = cluster_sum(sum);
  if (r < U && cluster_lane() == 0) y[r] = sum / (float(U) * float(U));
}
