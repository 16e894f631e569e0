// Sums down the columns of rows of C elements. In the narrow form a cluster has four columns, and its lanes have every CLUSTER-th row. The
// wide form is for drivers that load by address once in loops, too (`DeviceTraits.loadsOnceInLoops`): a workgroup is one subgroup and has
// WIDTH columns; a lane has all rows of its own ones, and C is a multiple of 8.
//
//   TILE(k, c, chunks)                chunk k of 0 ..< chunks and column c, the first, of what this cluster sums,
//   SUM_ROWS(sum, first, end, value)  adds value(r, c) of the rows r of first ..< end, or of those that this lane has,
//   COLUMNS(x, r, c)                  are the columns from c on of row r of x,
//   STORE_COLUMNS(buffer, k, c, sum)  stores their sums, over all lanes of the cluster, as row k of a buffer declared by SPANS.
//
// Include after the constants C and CLUSTER; `rows`, how many there are, is a push constant, and not zero.
#include "span.glsl"

#ifdef WIDE
#include "lane_loads.glsl"
const uint WIDTH = C < 4 * LANES ? C : 4 * LANES;
#define TILE(k, c, chunks) \
  uint tiles_ = (C + WIDTH - 1) / WIDTH; \
  uint tile_ = min(gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x, tiles_ * (chunks) - 1); \
  uint k = tile_ / tiles_, c = min(tile_ % tiles_ * WIDTH, C - WIDTH);
// A driver may compute a turn of a loop that no lane takes: places stay inside. One row a turn: each is up to 64 loads to its compiler.
#define SUM_ROWS(sum, first, end, value) { \
  uint end_ = end; \
  for (uint r_ = first; r_ < end_; r_++) sum += value(min(r_, rows - 1), c); \
}
#define COLUMNS(x, r, c) held4(x##_address, (r) * C + (c), WIDTH)
#define STORE_COLUMNS(buffer, k, c, sum) { \
  vec4 sum_[1] = vec4[1](sum); \
  STORE_ELEMENTS(buffer, (k) * C + (c), WIDTH, sum_) \
}
#else
#include "cluster.glsl"
#include "fetch4.glsl"
#include "store4.glsl"
#define TILE(k, c, chunks) \
  uint tiles_ = (C + 3) / 4; \
  bool stores_ = linear_cluster() < tiles_ * (chunks); \
  uint tile_ = min(linear_cluster(), tiles_ * (chunks) - 1); \
  uint k = tile_ / tiles_, c = 4 * (tile_ % tiles_);
#define SUM_ROWS(sum, first, end, value) { \
  uint r_ = (first) + cluster_lane(), end_ = stores_ ? (end) : 0; \
  for (; r_ + 3 * CLUSTER < end_; r_ += 4 * CLUSTER) \
    sum += (value(r_, c) + value(r_ + CLUSTER, c)) + (value(r_ + 2 * CLUSTER, c) + value(r_ + 3 * CLUSTER, c)); \
  for (; r_ < end_; r_ += CLUSTER) sum += value(r_, c); \
}
#define COLUMNS(x, r, c) fetch4(x, C % 4 == 0, int((r) * C), int(c), int(C))
#define STORE_COLUMNS(buffer, k, c, sum) { \
  vec4 sum_ = cluster_sum(sum); \
  if (stores_ && cluster_lane() == 0) STORE4(buffer, (k) * C, c, C, sum_) \
}
#endif
