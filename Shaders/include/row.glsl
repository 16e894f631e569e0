// Rows of C elements, each held by a cluster of lanes in VECTORS vectors a lane.
//
// EACH_ROW(r, rows) { ... } computes the rows r of 0 ..< rows; in it ROW4(x, start, i) is vector i of the row of x that starts at element
// `start`, zeros past its end, STORE_ROW(buffer, v) stores `v`, by vectors, as row r, and STORE_OF_ROW(buffer, x) the number x, which all
// lanes have. In the narrow form a cluster has one row, and lane l of it every CLUSTER-th vector. In the wide form it is the subgroup,
// has TOGETHER rows, one after another, and reads and stores whole vectors (lane_loads.glsl); there C is a multiple of 8, and `start`
// made of r and push constants. The last rows are computed twice where rows are no multiple of TOGETHER, of which there are as many or
// more.
//
// Include after cluster.glsl, fetch4.glsl, span.glsl, store4.glsl and the constants C and CLUSTER.
const uint VECTORS = (C + 4 * CLUSTER - 1) / (4 * CLUSTER);

#ifdef WIDE
#include "lane_loads.glsl"
const uint TOGETHER = C < 512 ? 512 / C : 1;
// Where vector i of a lane has its components.
uvec4 columns(uint i) { return (4 * i + uvec4(0, 1, 2, 3)) * LANES + gl_SubgroupInvocationID; }
#define EACH_ROW(r, rows) \
  PART_HERE(TOGETHER, rows) \
  [[unroll]] for (uint turn_ = 0, r = known_; turn_ < TOGETHER; turn_++, r++)
#define ROW4(x, start, i) held4(x##_address, (start) + 4 * LANES * (i), C - 4 * LANES * (i))
#define STORE_ROW(buffer, v) STORE_HELD(buffer, (known_ + turn_) * C >> 3, C / 8, v)
#define STORE_OF_ROW(buffer, x) buffer[known_ + turn_] = x;
#else
uvec4 columns(uint i) { return 4 * (i * CLUSTER + cluster_lane()) + uvec4(0, 1, 2, 3); }
#define EACH_ROW(r, rows) \
  uint place_ = linear_cluster(), r = min(place_, (rows) - 1); \
  bool stores_ = place_ < (rows);
#define ROW4(x, start, i) row4(x, start, i)
#define STORE_ROW(buffer, v) \
  if (stores_) { \
    [[unroll]] for (uint i_ = 0; i_ < VECTORS; i_++) \
      if (columns(i_).x < C) STORE4(buffer, r * C, columns(i_).x, C, (v)[i_]) \
  }
#define STORE_OF_ROW(buffer, x) if (stores_ && cluster_lane() == 0) buffer[r] = x;
#endif

// `value` where vector i is inside the row, else 0. Costs nothing where rows are whole multiples of the cluster.
vec4 inside(uint i, vec4 value) {
  if (C % (4 * CLUSTER) == 0) return value;
  return mix(vec4(0.0), value, lessThan(columns(i), uvec4(C)));
}

#ifndef WIDE
vec4 row4(textureBuffer source, uint start, uint i) {
  return inside(i, fetch4(source, C % 4 == 0, int(start), int(min(columns(i).x, (C - 1) / 4 * 4)), int(C)));
}
#endif
