#version 450
// Lays one operand of grouped_gradient out, as pack_panels does one that is not along k: panels of WIDTH columns of X [*, R],
// [R / WIDTH up][K4][WIDTH] vectors of four rows s of one expert (expert_quads.glsl), zeros past its last row; places past R hold
// copies, quads of no expert nothing. R is a multiple of 4.
//   Row s is row gather[s] / DIVISOR of X where GATHERED, else s. LANES as in pack_panels.comp.
// Groups: x experts, y panels.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "wide.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const bool GATHERED = false;
// A constant, because vectors of integers have no division.
layout(constant_id = 1) const uint DIVISOR = 1;
layout(constant_id = 2) const int WIDTH = 16;
layout(constant_id = 3) const int LANES = 0;
const int COLUMNS = WIDTH / (LANES == 0 ? 1 : LANES);
layout(binding = 0) uniform textureBuffer x;
layout(binding = 1) uniform utextureBuffer offsets;  // [E + 1]
layout(binding = 2) uniform utextureBuffer gather;  // [S]
layout(binding = 3) writeonly buffer Y { u64vec4 y[]; };  // two entries each
layout(push_constant) uniform Push {
  int R;
  int K4;
};
#include "expert_quads.glsl"

/// Columns r ..< r + 4 of X at the k-th quad.
vec4[4] turned(ExpertQuads quads, int r, int k) {
  vec4 part[4];
  [[unroll]] for (int t = 0; t < 4; t++) {
    int s = quads.begin + 4 * k + t, present = min(s, quads.end - 1);
    int row = GATHERED ? int(texelFetch(gather, present).x / DIVISOR) : present;
    part[t] = s < quads.end ? texelFetch(x, (row * R + min(r, R - 4)) >> 2) : vec4(0.0);
  }
  vec4 columns[4];
  [[unroll]] for (int j = 0; j < 4; j++) columns[j] = vec4(part[0][j], part[1][j], part[2][j], part[3][j]);
  return columns;
}

void main() {
  int panel = int(gl_WorkGroupID.y), i = int(gl_LocalInvocationID.x);
  ExpertQuads quads = expert_quads(int(gl_WorkGroupID.x));
  // A block of four columns x four rows; of right operands two, of neighbouring lanes.
  const int BLOCKS = LANES == 0 ? WIDTH / 4 : WIDTH / 8;
  const int QUADS_AT_ONCE = 64 / BLOCKS;
  for (int k = i < QUADS_AT_ONCE * BLOCKS ? i / BLOCKS : quads.count; k < quads.count; k += QUADS_AT_ONCE) {
    int to = (panel * K4 + quads.first + k) * WIDTH;
    if (LANES == 0) {
      int r = i % BLOCKS * 4;
      vec4 columns[4] = turned(quads, panel * WIDTH + r, k);
      [[unroll]] for (int j = 0; j < 4; j += 2) y[(to + r + j) >> 1] = wide(columns[j], columns[j + 1]);
    } else {
      const int QUADS = COLUMNS / 4;
      int r = i % QUADS * 4, l = i / QUADS % (LANES / 2) * 2;
      vec4 low[4] = turned(quads, panel * WIDTH + COLUMNS * l + r, k);
      vec4 high[4] = turned(quads, panel * WIDTH + COLUMNS * (l + 1) + r, k);
      [[unroll]] for (int j = 0; j < 4; j++) y[(to + (r + j) * LANES + l) >> 1] = wide(low[j], high[j]);
    }
  }
}
