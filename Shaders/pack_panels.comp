#version 450
// Lays one operand of a product out in the order in which matmul_panels reads it: panels of WIDTH rows of op(X) [R, K],
// [R / WIDTH up][K4][WIDTH] vectors of four k, zeros from K on; places past R hold copies or zeros.
//   ALONG_K: X is [R, K], else [K, R].
// Within a panel the rows of a left operand keep their order; of a RIGHT one entry p LANES + l is row COLUMNS l + p, COLUMNS being
// WIDTH / LANES, 4 or 8, so that as many fetches bring a lane neighbouring columns of C.
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
layout(binding = 0) uniform textureBuffer x;
layout(binding = 1) writeonly buffer Y { u64vec4 y[]; };  // two entries each
layout(push_constant) uniform Push {
  int R;
  int K;
  int K4;
  uint8_t identity[64];
};

int first_element() { return int(gl_WorkGroupID.z) * R * K; }

#define Quad int
Quad quad(int k) { return k; }

/// Rows r ..< r + 4 of op(X) at quad k, from [K, R].
vec4[4] turned(int r, Quad k) {
  vec4 part[4];
  [[unroll]] for (int t = 0; t < 4; t++) {
    vec4 value = fetch4(x, ALIGNED, first_element() + min(4 * k + t, K - 1) * R, ALIGNED ? min(r, R - 4) : r, R);
    part[t] = 4 * k + t < K ? value : vec4(0.0);
  }
  vec4 rows[4];
  [[unroll]] for (int j = 0; j < 4; j++) rows[j] = vec4(part[0][j], part[1][j], part[2][j], part[3][j]);
  return rows;
}

#include "turned_panel.glsl"

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
  } else {
    store_turned(panel, row, subgroup, K4);
  }
}
