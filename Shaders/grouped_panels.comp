#version 450
// C[s, :] = A[row(s), :] op(B_e) for the rows s in offsets[e] ..< offsets[e + 1] of expert e, then the epilogue; as forms NN and
// NT of grouped_matmul.
//   A [*, 4 K4], ALONG_K, or the tiles of pack_expert_rows where PACKED; row(s) = gather[s] / divisor where GATHERED, else s
//   B of each expert as in matmul_panels.comp, PACKED or not; N is a multiple of 4 SPAN
//   C [S, N], bias [E, N]
// Groups: one subgroup each; x S / ROWS rounded up + E row tiles, y column tiles.
#extension GL_GOOGLE_include_directive : require
#include "span.glsl"
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint CLUSTER = 8;  // the subgroup
layout(constant_id = 8) const uint A_ORDER = 1;
layout(constant_id = 9) const uint B_ORDER = 0;
layout(constant_id = 11) const bool GATHERED = false;
layout(binding = 5, rgba32f) uniform readonly restrict imageBuffer a;
layout(binding = 6, rgba32f) uniform readonly restrict imageBuffer b;
layout(binding = 7) uniform utextureBuffer offsets;  // [E + 1]
layout(binding = 8) uniform utextureBuffer gather;  // [S]
layout(push_constant) uniform Push {
  int N;
  int K4;
  int experts;
  int divisor;
  IDENTITY
};
int row_of_a(int row) { return GATHERED ? int(texelFetch(gather, row).x) / divisor : row; }
#include "matmul_panels.glsl"
#include "expert_tile.glsl"

void main() {
  ExpertTile tile = expert_tile(int(gl_WorkGroupID.x), ROWS, experts);
  int column_tile = int(gl_WorkGroupID.y);
  accumulate(
      int(gl_WorkGroupID.x), tile.m0, max(tile.m_end, 1), tile.expert, column_tile, N, K4, 0,
      tile.m0 < tile.m_end ? K4 : 0);
  finish(0, tile.expert * N, tile.m0, tile.m_end, column_tile, N);
}
