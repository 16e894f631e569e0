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

// The sum over the cluster's lanes, in every lane, in the order of a butterfly: the same bits in all of them.
#define CLUSTER_SUM(T) \
  T cluster_sum(T x) { \
    if (CLUSTER > 1) x += subgroupShuffleXor(x, 1); \
    if (CLUSTER > 2) x += subgroupShuffleXor(x, 2); \
    if (CLUSTER > 4) x += subgroupShuffleXor(x, 4); \
    if (CLUSTER > 8) x += subgroupShuffleXor(x, 8); \
    if (CLUSTER > 16) x += subgroupShuffleXor(x, 16); \
    if (CLUSTER > 32) x += subgroupShuffleXor(x, 32); \
    return x; \
  }
CLUSTER_SUM(float)
CLUSTER_SUM(vec2)
CLUSTER_SUM(vec4)

float cluster_max(float x) {
  if (CLUSTER > 1) x = max(x, subgroupShuffleXor(x, 1));
  if (CLUSTER > 2) x = max(x, subgroupShuffleXor(x, 2));
  if (CLUSTER > 4) x = max(x, subgroupShuffleXor(x, 4));
  if (CLUSTER > 8) x = max(x, subgroupShuffleXor(x, 8));
  if (CLUSTER > 16) x = max(x, subgroupShuffleXor(x, 16));
  if (CLUSTER > 32) x = max(x, subgroupShuffleXor(x, 32));
  return x;
}
