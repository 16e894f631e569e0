// A cluster per row of C elements: of each SPAN CLUSTER vectors in a row lane l holds the l-th span, VECTORS vectors in all.
// Include after cluster.glsl, fetch4.glsl, span.glsl, store4.glsl and the constants C and CLUSTER. In the wide form C is a multiple of
// 8, and there are TOGETHER rows or more.
const uint VECTORS = SPAN * ((C + 4 * SPAN * CLUSTER - 1) / (4 * SPAN * CLUSTER));

// Where vector i of a lane of a cluster begins.
uint column(uint i, uint lane) { return 4 * ((i / SPAN * CLUSTER + lane) * SPAN + i % SPAN); }
uint column(uint i) { return column(i, cluster_lane()); }

// `value` where vector i is inside the row, else 0. Costs nothing where rows are whole multiples of the cluster.
vec4 inside(uint i, vec4 value) {
  if (C % (4 * SPAN * CLUSTER) == 0) return value;
  return mix(vec4(0.0), value, lessThan(column(i) + uvec4(0, 1, 2, 3), uvec4(C)));
}

// Vector i of the row that starts at element `start`, zeros past its end.
vec4 row4(textureBuffer source, uint start, uint i) {
  return inside(i, fetch4(source, C % 4 == 0, int(start), int(min(column(i), (C - 1) / 4 * 4)), int(C)));
}

// ROW_HERE(r, rows) declares r, the row of the cluster; clusters past the last have a row that another one has, too. Then
// STORE_ROW(buffer, v) stores `v`, by vectors, as row r, and STORE_OF_ROW(buffer, x) the number x.
#ifdef WIDE
#include "lane_stores.glsl"
const uint TOGETHER = LANES / CLUSTER;  // rows of a subgroup
#define ROW_HERE(r, rows) \
  uint first_ = min(linear_subgroup() * TOGETHER, (rows) - TOGETHER), known_ = known_uniform(first_); \
  uint r = first_ + gl_SubgroupInvocationID / CLUSTER;
#define STORE_ROW(buffer, v) \
  [[unroll]] for (uint i_ = 0; i_ < VECTORS; i_ += 2) \
    STORE_LANES_IF( \
        column(i_, lane_ % CLUSTER) < C, buffer, \
        ((known_ + lane_ / CLUSTER) * C + column(i_, lane_ % CLUSTER)) >> 3, wide((v)[i_], (v)[i_ + 1]))
#define STORE_OF_ROW(buffer, x) \
  [[unroll]] for (uint k_ = 0; k_ < TOGETHER; k_++) buffer[known_ + k_] = subgroupShuffle(x, k_ * CLUSTER);
#else
#define ROW_HERE(r, rows) \
  uint place_ = linear_cluster(), r = min(place_, (rows) - 1); \
  bool stores_ = place_ < (rows);
#define STORE_ROW(buffer, v) \
  if (stores_) { \
    [[unroll]] for (uint i_ = 0; i_ < VECTORS; i_++) \
      if (column(i_) < C) STORE4(buffer, r * C, column(i_), C, (v)[i_]) \
  }
#define STORE_OF_ROW(buffer, x) if (stores_ && cluster_lane() == 0) buffer[r] = x;
#endif
