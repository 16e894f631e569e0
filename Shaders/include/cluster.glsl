// Clusters: CLUSTER (a power of two) neighbouring lanes of a subgroup that share one row or tile.
// The includer declares `layout(constant_id = N) const uint CLUSTER = 8;` before the #include; the workgroup size is a
// multiple of the subgroup size and the host passes DeviceTraits.cluster. Every lane must be active.
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

// Lane within the cluster. No assumption is made on how gl_LocalInvocationID maps to lanes.
uint cluster_lane() { return gl_SubgroupInvocationID % CLUSTER; }

// Clusters per workgroup. A macro, because gl_WorkGroupSize is silently 1 in a function before the shader's local_size.
#define cluster_count() (gl_WorkGroupSize.x / CLUSTER)

// Cluster within the workgroup, 0 ..< cluster_count().
uint cluster_index() { return gl_SubgroupID * (gl_SubgroupSize / CLUSTER) + gl_SubgroupInvocationID / CLUSTER; }

// The cluster's index over a grid that may spread along y (linear.glsl).
#define linear_cluster() \
  ((gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * cluster_count() + cluster_index())

// `x` of all lanes of the cluster combined, in every lane, in the order of a butterfly: the same bits in all of them.
#define BUTTERFLY(x, combined) \
  if (CLUSTER > 1) x = combined(x, subgroupShuffleXor(x, 1)); \
  if (CLUSTER > 2) x = combined(x, subgroupShuffleXor(x, 2)); \
  if (CLUSTER > 4) x = combined(x, subgroupShuffleXor(x, 4)); \
  if (CLUSTER > 8) x = combined(x, subgroupShuffleXor(x, 8)); \
  if (CLUSTER > 16) x = combined(x, subgroupShuffleXor(x, 16)); \
  if (CLUSTER > 32) x = combined(x, subgroupShuffleXor(x, 32));

#ifdef WIDE
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_ballot : require
#include "broadcasts.glsl"
// The cluster is the subgroup. By broadcasts in the same pairs.
#define COMBINED(T, x, combined) \
  if (BROADCASTS) { \
    T of_[CLUSTER]; \
    [[unroll]] for (uint l_ = 0; l_ < CLUSTER; l_++) of_[l_] = subgroupBroadcast(x, l_); \
    PAIRS(1, combined) PAIRS(2, combined) PAIRS(4, combined) PAIRS(8, combined) PAIRS(16, combined) \
    x = of_[0]; \
  } else { \
    BUTTERFLY(x, combined) \
  }
#define PAIRS(apart, combined) \
  [[unroll]] for (uint l_ = 0; l_ + (apart) < CLUSTER; l_ += 2 * (apart)) of_[l_] = combined(of_[l_], of_[l_ + (apart)]);
#else
#define COMBINED(T, x, combined) BUTTERFLY(x, combined)
#endif

#define PLUS(a, b) (a) + (b)
float cluster_sum(float x) { COMBINED(float, x, PLUS) return x; }
vec2 cluster_sum(vec2 x) { COMBINED(vec2, x, PLUS) return x; }
vec4 cluster_sum(vec4 x) { COMBINED(vec4, x, PLUS) return x; }
float cluster_max(float x) { COMBINED(float, x, max) return x; }
