#version 450
// Lays the rows that grouped_panels multiplies out as pack_panels does a left operand: [row tiles][K4][ROWS] vectors of four k,
// of A[row(s), :] for the rows s of the tile (expert_tile.glsl); places past the expert's last row hold copies.
//   A [*, 4 K4]; row(s) = gather[s] / divisor where GATHERED, else s.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"
#include "wide.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const bool GATHERED = false;
layout(constant_id = 1) const int ROWS = 16;
layout(binding = 0) uniform textureBuffer a;
layout(binding = 1) uniform utextureBuffer offsets;  // [E + 1]
layout(binding = 2) uniform utextureBuffer gather;  // [S]
layout(binding = 3) writeonly buffer Y { u64vec4 y[]; };  // two entries each
layout(push_constant) uniform Push {
  int K4;
  int tiles;
  int experts;
  int divisor;
};
#include "expert_tile.glsl"

int row(int s) { return GATHERED ? int(texelFetch(gather, s).x) / divisor : s; }

void main() {
  // Two neighbouring entries, four quads of each, which share a cache line of A.
  int i = int(linear_index()), blocks = (K4 + 3) / 4;
  int e = i % (ROWS / 2) * 2, k = i / (ROWS / 2) % blocks * 4, tile = i / (ROWS / 2) / blocks;
  if (tile < tiles) {
    ExpertTile found = expert_tile(tile, experts);
    int last = max(found.m_end, 1) - 1;
    int low = row(min(found.m0 + e, last)) * K4, high = row(min(found.m0 + e + 1, last)) * K4;
    [[unroll]] for (int j = 0; j < 4; j++) {
      int at = min(k + j, K4 - 1);
      u64vec4 value = wide(texelFetch(a, low + at), texelFetch(a, high + at));
      if (k + j < K4) y[((tile * K4 + k + j) * ROWS + e) >> 1] = value;
    }
  }
}
