// Rows of C elements, each held by a cluster of lanes in VECTORS vectors a lane.
//
// EACH_ROW(r, rows) { ... } computes the rows r of 0 ..< rows. In it
//   ROW4(x, start, i)              is vector i of the row of x that starts at element `start`, zeros past its end,
//   STORE_ROW(buffer, v)           stores `v`, by vectors, as row r,
//   STORE_ROW_AT(buffer, row, v)   as another; of rows of whole spans (`RowClusters`),
//   ONE(x, i), ONE_UINT(x, i)      are element i of x, the same for all lanes,
//   STORE_ONE(buffer, i, value)    stores a number that all lanes have.
// In the narrow form a cluster has one row, and lane l of it every CLUSTER-th vector. In the wide form it is the subgroup, has TOGETHER
// rows, one after another, and reads and stores whole vectors (lane_loads.glsl); there places are made of r, constants, push constants and
// ONE_UINT. The last rows are computed twice where rows are no multiple of TOGETHER, of which there are as many or more. Of rows of an odd
// C there is an even number, and so is TOGETHER.
//
// Include after the constants C and CLUSTER.
#include "cluster.glsl"
#include "fetch4.glsl"
#include "span.glsl"
#include "store4.glsl"

const uint VECTORS = (C + 4 * CLUSTER - 1) / (4 * CLUSTER);

#ifdef WIDE
#include "lane_loads.glsl"
const uint PAIR = 1 + C % 2;  // rows that begin and end with whole words
const uint TOGETHER = PAIR * C < 512 ? 512 / (PAIR * C) * PAIR : PAIR;
// Where vector i of a lane has its components.
uvec4 columns(uint i) { return (4 * i + uvec4(0, 1, 2, 3)) * LANES + gl_SubgroupInvocationID; }
#define EACH_ROW(r, rows) \
  PART_HERE(TOGETHER, rows) \
  float before_;  /* the last element of the row before, where it shares a word with the first of this one */ \
  [[unroll]] for (uint turn_ = 0, r = known_; turn_ < TOGETHER; turn_++, r++)
#define ROW4(x, start, i) held4(x##_address, (start) + 4 * LANES * (i), C - 4 * LANES * (i))
#define ONE(x, i) Floats(packUint2x32(x##_address) + 4 * uint64_t(i)).at[0]
#define ONE_UINT(x, i) known_uniform(floatBitsToUint(ONE(x, i)))
#define STORE_ONE(buffer, i, value) buffer[i] = value;
#define STORE_ROW_AT(buffer, row, v) STORE_HELD(buffer, (row) * C >> 3, C / 8, v)
// By spans, or, where rows do not begin with one, by words of two floats.
#define STORE_ROW(buffer, v) \
  if (BROADCASTS) { \
    SCATTER_HELD(buffer, (known_ + turn_) * C, C, v) \
  } else if (C % 8 == 0) { \
    STORE_ROW_AT(buffer, known_ + turn_, v) \
  } else { \
    uint shared_ = C * turn_ & 1; \
    if (shared_ == 1) STORE_WORD(buffer, 0, before_, HELD_AT(v, 0)) \
    [[unroll]] for (uint word_ = 0; word_ < C / 2; word_++) \
      STORE_WORD(buffer, word_ + shared_, HELD_AT(v, 2 * word_ + shared_), HELD_AT(v, 2 * word_ + shared_ + 1)) \
    before_ = HELD_AT(v, C - 1); \
  }
#define STORE_WORD(buffer, i, a, b) { \
  uint place_ = (known_ * C >> 1) + (turn_ * C >> 1) + (i); \
  buffer[place_ >> 2][place_ & 3] = packUint2x32(floatBitsToUint(vec2(a, b))); \
}
#else
uvec4 columns(uint i) { return 4 * (i * CLUSTER + cluster_lane()) + uvec4(0, 1, 2, 3); }
#define EACH_ROW(r, rows) \
  uint place_ = linear_cluster(), r = min(place_, (rows) - 1); \
  bool stores_ = place_ < (rows);
#define ROW4(x, start, i) row4(x, start, i)
#define ONE(source, i) texelFetch(source, int(i)).x
#define ONE_UINT(source, i) ONE(source, i)
#define STORE_ONE(buffer, i, value) if (stores_ && cluster_lane() == 0) buffer[i] = value;
#define STORE_VECTOR(buffer, row, i, value) { \
  vec4 value_ = value; \
  if (stores_ && columns(i).x < C) STORE4(buffer, (row) * C, columns(i).x, C, value_) \
}
#define STORE_ROW_AT(buffer, row, v) [[unroll]] for (uint i_ = 0; i_ < VECTORS; i_++) STORE_VECTOR(buffer, row, i_, (v)[i_])
#define STORE_ROW(buffer, v) STORE_ROW_AT(buffer, place_, v)
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
