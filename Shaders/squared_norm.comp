#version 450
// partials[first_partial + j] = a share of sum(g * g) over the elements that belong to parameters.
// Each cluster leaves one partial, and a workgroup takes 64 * vectors_per_lane vectors in a row; in the wide form each subgroup does, of
// 256 vectors.
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint CLUSTER = 8;
#include "adamw.glsl"
#include "cluster.glsl"
#include "elementwise.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer g;
layout(binding = 1) uniform utextureBuffer table;
layout(binding = 2) writeonly buffer Partials { float partials[]; };
layout(push_constant) uniform Push {
  uint count4;
  uint vectors_per_lane;
  uint first_partial;
  IDENTITY
  ADDRESS(g)
};

// Selected, not multiplied: memory between parameters may hold anything.
vec4 square(vec4 x, bvec4 own) {
  x = mix(vec4(0), x, own);
  return x * x;
}

#ifdef WIDE
void main() {
  const uint VECTORS = 256;
  uint subgroup = known_part(linear_subgroup()), first = subgroup * VECTORS, last = count4 - LANES;
  // Of each of the subgroup's chunks, by as many lanes as there are; 0 past the end.
  const uint CHUNKS = VECTORS / CHUNK4;
  uint words[(CHUNKS + LANES - 1) / LANES];
  [[unroll]] for (uint i = 0; i < words.length(); i++) {
    uint chunk = first / CHUNK4 + LANES * i + gl_SubgroupInvocationID;
    uint word = texelFetch(table, int(min(chunk, (count4 - 1) / CHUNK4))).x;
    words[i] = chunk < count4 / CHUNK4 ? word : 0;
  }
  vec4 sum = vec4(0);
  [[unroll]] for (uint i = 0; i < VECTORS; i += LANES) {
    uint word = LANE_OF(words[i / CHUNK4 / LANES], i / CHUNK4 % LANES);
    sum += square(READ(g, min(first + i, last)), owned(word, PLACES(i)));
  }
  partials[first_partial + subgroup] = cluster_sum(dot(sum, vec4(1)));
}
#else
void main() {
  uint clusters = gl_WorkGroupSize.x / CLUSTER;
  uint lane = cluster_index() * CLUSTER + cluster_lane();
  uint first = gl_WorkGroupID.x * gl_WorkGroupSize.x * vectors_per_lane + lane;
  vec4 sum = vec4(0);
  for (uint j = 0; j < vectors_per_lane; j++) {
    uint i = min(first + j * gl_WorkGroupSize.x, count4 - 1);
    uint word = first + j * gl_WorkGroupSize.x < count4 ? texelFetch(table, int(i / CHUNK4)).x : 0;
    sum += square(READ(g, i), owned(word, PLACES(i)));
  }
  sum = cluster_sum(sum);
  if (cluster_lane() == 0) partials[first_partial + gl_WorkGroupID.x * clusters + cluster_index()] = sum.x + sum.y + sum.z + sum.w;
}
#endif
