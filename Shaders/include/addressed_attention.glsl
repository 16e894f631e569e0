// What the kernels of attention by address share: a lane has a token of one (b, h), and what it needs of the others are numbers that all
// lanes read, STEP tokens at a time. For drivers that load such a number once, in loops, too (`DeviceTraits.loadsOnceInLoops`).
//
// TILE declares `pair` = b H + h, `token`, the lane's own, and `first_y` and `first_qkv`, the elements y[b, 0, h, 0] and q[b, 0, h, 0].
// The last tile moves back to the end; of fewer tokens than lanes some are computed twice, as the same.
// EACH_STEP(PASS) runs PASS(at, past) for STEP tokens from `at` on, of which the first `past` have had their turn and count for nothing. The
// includer has T and scale in its push constants, and in it
//   EACH_NUMBER(i), EACH_TOKEN(t)      are loops over a row and a step,
//   NUMBER(source, row, i)             is element i of what starts at element `row` of `source`; what differs from token to token belongs
//                                      into i, a constant, since a processor has few registers for addresses,
//   AGAIN(row)                         is the same row for a second use (with push constant zero): a compiler that sees that it is the same
//                                      would load once for both, and keep all that it has loaded on the stack.
// KEEP_ROW(buffer, start, apart, v) stores `v` as the row of `token`, where token 0 has its own at element `start` and the next ones'
// `apart`; of a buffer declared by WIDE_SPANS.
#extension GL_EXT_control_flow_attributes : require
#include "lane_loads.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 8) const int D = 64;  // a multiple of 8
layout(constant_id = 9) const int STEP = 4;  // T or fewer
layout(constant_id = 10) const int H = 1;

const int VECTORS = D / 4;
const int APART = 3 * H * D;  // of tokens in qkv
#define TILE \
  int pair = int(gl_WorkGroupID.y); \
  int first_token = min(int(gl_WorkGroupID.x * LANES), max(T - int(LANES), 0)); \
  int token = min(first_token + int(gl_SubgroupInvocationID), T - 1); \
  int first_y = (pair / H * T * H + pair % H) * D, first_qkv = (pair / H * T * 3 * H + pair % H) * D;

// A driver may compute a turn of a loop that no lane takes: places stay inside.
#define EACH_STEP(PASS) { \
  int next_ = 0; \
  for (; next_ + STEP <= T; next_ += STEP) PASS(min(next_, T - STEP), 0) \
  if (next_ < T) PASS(T - STEP, next_ - (T - STEP)) \
}

#define EACH_NUMBER(i) [[unroll]] for (int i = 0; i < D; i++)
#define EACH_TOKEN(t) [[unroll]] for (int t = 0; t < STEP; t++)
#define NUMBER(source, row, i) floats_at(source##_address, row).at[i]
#define AGAIN(row) ((row) + zero)

#define KEEP_ROW(buffer, start, apart, v) \
  if (BROADCASTS) { \
    SCATTER_ROW(buffer, uint((start) + token * (apart)), D, v) \
  } else { \
    uint to_ = uint((start) + first_token * (apart)) / 8, apart_ = uint(apart) / 8; \
    [[unroll]] for (uint c_ = 0; c_ < VECTORS; c_ += 2) \
      STORE_LANES(buffer, int(lane_) < T ? to_ + lane_ * apart_ + c_ / 2 : NOWHERE, wide((v)[c_], (v)[c_ + 1])) \
  }
