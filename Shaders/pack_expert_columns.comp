#version 450
// Lays one operand of grouped_gradient out, as pack_panels does one that is not along k: panels of WIDTH columns of X [*, R],
// [R / WIDTH up][K4][WIDTH] vectors of four rows s of one expert (expert_quads.glsl), zeros past its last row; places past R hold
// copies, quads of no expert zeros. R is a multiple of 4.
//   Row s is row gather[s] / DIVISOR of X where GATHERED, else s.
// Groups: x parts of a panel, one a subgroup (turned_panel.glsl); y panels.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "lane_stores.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const bool GATHERED = false;
// A constant, because vectors of integers have no division.
layout(constant_id = 1) const uint DIVISOR = 1;
layout(constant_id = 2) const int WIDTH = 16;
layout(constant_id = 3) const bool RIGHT = false;
layout(constant_id = 4) const int BITS = 3;  // of an expert's number
layout(binding = 0) uniform textureBuffer x;
layout(binding = 1) uniform utextureBuffer offsets;  // [E + 1]
layout(binding = 2) uniform utextureBuffer gather;  // [S]
layout(binding = 3) writeonly buffer Y { u64vec4 y[]; };  // two entries each
layout(push_constant) uniform Push {
  int R;
  int K4;
  int experts;
  uint8_t identity[64];
};
#include "expert_quads.glsl"

/// Four rows of an expert.
struct Quad {
  int row;
  int end;  // of the expert's rows
};

/// Quad k, of the last expert whose first quad is not behind it.
Quad quad(int k) {
  int expert = 0;
  // Unrolled, because the stores that follow may not be in a loop, and a loop with another in it is not unrolled.
  [[unroll]] for (int bit = BITS - 1; bit >= 0; bit--) {
    int next = min(expert + (1 << bit), experts - 1);
    expert = expert_quads(next).first <= k ? next : expert;
  }
  ExpertQuads quads = expert_quads(expert);
  return Quad(quads.begin + 4 * (k - quads.first), quads.end);
}

/// Columns r ..< r + 4 of X at four rows.
vec4[4] turned(int r, Quad quad) {
  vec4 part[4];
  [[unroll]] for (int t = 0; t < 4; t++) {
    int s = quad.row + t, present = min(s, max(quad.end, 1) - 1);
    int row = GATHERED ? int(texelFetch(gather, present).x / DIVISOR) : present;
    part[t] = s < quad.end ? texelFetch(x, (row * R + min(r, R - 4)) >> 2) : vec4(0.0);
  }
  vec4 columns[4];
  [[unroll]] for (int j = 0; j < 4; j++) columns[j] = vec4(part[0][j], part[1][j], part[2][j], part[3][j]);
  return columns;
}
#include "turned_panel.glsl"

void main() {
  int panel = int(gl_WorkGroupID.y), subgroup = int(gl_WorkGroupID.x * gl_NumSubgroups + gl_SubgroupID);
  store_turned(panel * K4 * SPANS, panel * WIDTH, subgroup, K4);
}
