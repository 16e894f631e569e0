#version 450
// Lays one operand of a product out in the order in which matmul_panels reads it: panels of WIDTH rows of op(X) [R, K],
// [R / WIDTH up][K4][WIDTH] vectors of four k, zeros from K on; places past R hold copies or zeros.
//   ALONG_K: X is [R, K], else [K, R].
// Within a panel rows keep their order where they are of a left operand; of a RIGHT one entry p LANES + l is row COLUMNS l + p, COLUMNS being
// WIDTH / LANES, 4 or 8, so that as many fetches bring a lane neighbouring columns of C (right operands).
// Groups: x parts of a panel, one a subgroup, of SHARE spans or more (a panel has as many); y panels; z matrices, one stored after
// another.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "fetch4.glsl"
#include "lane_stores.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const bool ALONG_K = true;
layout(constant_id = 1) const bool ALIGNED = true;  // rows of X are whole vectors, see fetch4.glsl
layout(constant_id = 2) const int WIDTH = 16;
layout(constant_id = 3) const bool RIGHT = false;
const int COLUMNS = WIDTH / int(LANES);
layout(binding = 0) uniform textureBuffer x;
layout(binding = 1) writeonly buffer Y { u64vec4 y[]; };  // two entries each
layout(push_constant) uniform Push {
  int R;
  int K;
  int K4;
  uint identity[16];
};

const int SPANS = WIDTH / 2;  // of a quad
const int HALF = int(LANES) / 2;

int first_element() { return int(gl_WorkGroupID.z) * R * K; }

/// Rows r ..< r + 4 of op(X) at quad k, from [K, R].
vec4[4] turned(int r, int k) {
  vec4 part[4];
  [[unroll]] for (int t = 0; t < 4; t++) {
    vec4 value = fetch4(x, ALIGNED, first_element() + min(4 * k + t, K - 1) * R, ALIGNED ? min(r, R - 4) : r, R);
    part[t] = 4 * k + t < K ? value : vec4(0.0);
  }
  vec4 rows[4];
  [[unroll]] for (int j = 0; j < 4; j++) rows[j] = vec4(part[0][j], part[1][j], part[2][j], part[3][j]);
  return rows;
}

void main() {
  int subgroup = int(gl_WorkGroupID.x * gl_NumSubgroups + gl_SubgroupID), lane = int(gl_SubgroupInvocationID);
  int row = int(gl_WorkGroupID.y) * WIDTH;
  // The panel's first span. A subgroup past its panel's end moves back, and stores what another one does.
  int panel = int(gl_WorkGroupID.z * gl_NumWorkGroups.y + gl_WorkGroupID.y) * K4 * SPANS;
  if (ALONG_K) {
    int first = min(subgroup * int(SHARE), K4 * SPANS - int(SHARE));
    uint at = known_uniform(panel + first);
    [[unroll]] for (uint turn = 0; turn < SHARE; turn += LANES) {
      int i = first + int(turn) + lane, e = i % SPANS * 2, k = i / SPANS * 4;
      int low = row + (RIGHT ? e % int(LANES) * COLUMNS + e / int(LANES) : e), high = low + (RIGHT ? COLUMNS : 1);
      STORE_LANES(
          y, at + turn + lane_,
          wide(
              fetch4(x, ALIGNED, first_element() + min(low, R - 1) * K, k, K),
              fetch4(x, ALIGNED, first_element() + min(high, R - 1) * K, k, K)))
    }
  } else if (!RIGHT) {
    // Blocks of four rows x four k, two spans each.
    int first = min(subgroup * int(SHARE) / 2, K4 * SPANS / 2 - int(SHARE) / 2);
    uint at = known_uniform(panel + 2 * first);
    [[unroll]] for (uint turn = 0; turn < SHARE / 2; turn += LANES) {
      int i = first + int(turn) + lane;
      vec4 rows[4] = turned(row + i % (SPANS / 2) * 4, i / (SPANS / 2));
      STORE_LANES(y, at + 2 * (turn + lane_), wide(rows[0], rows[1]))
      STORE_LANES(y, at + 2 * (turn + lane_) + 1, wide(rows[2], rows[3]))
    }
  } else {
    // Two such blocks of neighbouring lanes; half of the subgroup has the next ones, of the same quad or of the next.
    const int QUADS = COLUMNS / 4;
    int k = min(subgroup * (2 / QUADS), K4 - 2 / QUADS), side = lane / HALF;
    uint at = known_uniform(panel + k * SPANS);
    int r = row + lane % HALF * 2 * COLUMNS + side % QUADS * 4;
    vec4 low[4] = turned(r, k + side / QUADS), high[4] = turned(r + COLUMNS, k + side / QUADS);
    [[unroll]] for (uint j = 0; j < 4; j++)
      STORE_LANES(
          y,
          at + lane_ / HALF / QUADS * SPANS + (lane_ / HALF % QUADS * 4 + j) * HALF + lane_ % HALF,
          wide(low[j], high[j]))
  }
}
