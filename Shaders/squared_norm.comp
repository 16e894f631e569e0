#version 450
// partials[first_partial + j] = a share of sum(g * g) over the elements that belong to parameters; each cluster leaves one partial.
// A workgroup takes 64 * vectors_per_lane vectors in a row.
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
#include "adamw.glsl"
#include "cluster.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer g;
layout(binding = 1) uniform utextureBuffer table;
layout(binding = 2) writeonly buffer Partials { float partials[]; };
layout(push_constant) uniform Push {
  uint count4;
  uint vectors_per_lane;
  uint first_partial;
};

void main() {
  uint clusters = gl_WorkGroupSize.x / CLUSTER;
  uint lane = cluster_index() * CLUSTER + cluster_lane();
  uint first = gl_WorkGroupID.x * gl_WorkGroupSize.x * vectors_per_lane + lane;
  vec4 sum = vec4(0);
  for (uint j = 0; j < vectors_per_lane; j++) {
    uint i = min(first + j * gl_WorkGroupSize.x, count4 - 1);
    uint word = first + j * gl_WorkGroupSize.x < count4 ? texelFetch(table, int(i / 16)).x : 0;
    // Selected, not multiplied: memory between parameters may hold anything.
    vec4 x = mix(vec4(0), texelFetch(g, int(i)), owned(word, 4 * i + uvec4(0, 1, 2, 3)));
    sum += x * x;
  }
  sum = cluster_sum(sum);
  if (cluster_lane() == 0) partials[first_partial + gl_WorkGroupID.x * clusters + cluster_index()] = sum.x + sum.y + sum.z + sum.w;
}
