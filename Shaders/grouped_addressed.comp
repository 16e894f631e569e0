#version 450
// C[s, :] = A[row(s), :] B_e for the rows s in offsets[e] ..< offsets[e + 1] of expert e, then the epilogue, as matmul_addressed; form NN of
// grouped_matmul.
//   A [*, K], row(s) = gather[s] / divisor where GATHERED, else s; B [E, K, N] or panels of it; C [S, N], bias [E, N]; K is DEPTH or more
// Groups: one subgroup each; x S / ROWS rounded up + E row tiles, y column tiles.
#extension GL_GOOGLE_include_directive : require
#include "addressed_tile.glsl"
layout(local_size_x_id = 0) in;
layout(constant_id = 8) const bool GATHERED = false;
layout(binding = 0) uniform textureBuffer bias;
layout(binding = 1) uniform textureBuffer aux;  // see epilogue.glsl
layout(binding = 2) uniform textureBuffer residual;
WIDE_SPANS(3, c)
WIDE_SPANS(4, pre)
layout(binding = 5) uniform textureBuffer a;
layout(binding = 6) uniform textureBuffer b;
layout(binding = 7) uniform utextureBuffer offsets;  // [E + 1]
layout(binding = 8) uniform utextureBuffer gather;  // [S]
layout(push_constant) uniform Push {
  int N;
  int K;
  int experts;
  int divisor;
  uvec2 a_address;
  uvec2 b_address;
  uvec2 bias_address;
  uvec2 residual_address;
  uvec2 offsets_address;
  uvec2 gather_address;
};
#define OFFSET(e) integer_at(offsets_address, e)
#include "expert_tile.glsl"

#define NUMBER(r, k) floats_at(a_address, a_rows[r] + at).at[k]
#define ROW(k) floats_at(b_address, b_start + (at + (k)) * b_length)

void main() {
  ExpertTile tile = expert_tile(int(gl_WorkGroupID.x), ROWS, experts);
  int column = min(int(gl_WorkGroupID.y) * WIDTH, N - WIDTH), last = max(tile.m_end, 1) - 1;
  int a_rows[ROWS];
  [[unroll]] for (int r = 0; r < ROWS; r++) {
    int s = min(tile.m0 + r, last);
    a_rows[r] = (GATHERED ? integer_at(gather_address, s) / divisor : s) * K;
  }
  int b_start = tile.expert * K * N + column, b_length = B_PANELS ? B_WIDTH : N;
  if (B_PANELS) b_start = in_b_panels(tile.expert * int(gl_NumWorkGroups.y) + int(gl_WorkGroupID.y), K);
  int end = tile.m0 < tile.m_end ? K : 0, k = 0;
  CLEAR_SUMS
  ADD_ALL_PRODUCTS(k, end, K)
  FINISH(tile.m0 * N + column, tile.m_end - tile.m0, tile.expert * N, column, N)
}
