#version 450
// Lays the rows that grouped_panels multiplies out as pack_panels does a left operand: [row tiles][K4][ROWS] vectors of four k,
// of A[row(s), :] for the rows s of the tile (expert_tile.glsl); places past the expert's last row hold copies.
//   A [*, 4 K4]; row(s) = gather[s] / divisor where GATHERED, else s.
// Groups: x parts of a tile, one a subgroup, of SHARE spans (a tile has as many); y tiles.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "lane_stores.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const bool GATHERED = false;
layout(constant_id = 1) const int ROWS = 16;
layout(binding = 0) uniform textureBuffer a;
layout(binding = 1) uniform utextureBuffer offsets;  // [E + 1]
layout(binding = 2) uniform utextureBuffer gather;  // [S]
layout(binding = 3) writeonly buffer Y { u64vec4 y[]; };  // two entries each
layout(push_constant) uniform Push {
  int K4;
  int experts;
  int divisor;
  uint8_t identity[64];
};
#include "expert_tile.glsl"

int row(int s) { return GATHERED ? int(texelFetch(gather, s).x) / divisor : s; }

void main() {
  const int SPANS = ROWS / 2;  // of a quad
  int subgroup = int(gl_WorkGroupID.x * gl_NumSubgroups + gl_SubgroupID), tile = int(gl_WorkGroupID.y);
  // A subgroup past the tile's end moves back, and stores what another one does.
  int first = min(subgroup * int(SHARE), K4 * SPANS - int(SHARE));
  uint at = known_uniform(tile * K4 * SPANS + first);
  ExpertTile found = expert_tile(tile, ROWS, experts);
  int last = max(found.m_end, 1) - 1;
  [[unroll]] for (uint turn = 0; turn < SHARE; turn += LANES) {
    int i = first + int(turn) + int(gl_SubgroupInvocationID), e = i % SPANS * 2, k = i / SPANS;
    int low = row(min(found.m0 + e, last)), high = row(min(found.m0 + e + 1, last));
    STORE_LANES(y, at + turn + lane_, wide(texelFetch(a, low * K4 + k), texelFetch(a, high * K4 + k)))
  }
}
