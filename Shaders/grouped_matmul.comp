#version 450
// One matmul per expert e over the rows offsets[e] ..< offsets[e + 1] that were sorted to it, then the epilogue.
//   NN: C[s, :] = A[row(s), :] B_e,     B [E, K, N], C [S, N], bias [E, N]
//   NT: C[s, :] = A[row(s), :] B_e^T,   B [E, N, K], C [S, N], bias [E, N]
//   TN: C_e = sum over s of A[row(s), :]^T B[row(s), :],   A [*, M], B [*, N], C [E, M, N]; zeros where e has no rows
// row(s) = gather[s] / DIVISOR for the operand that GATHERED names, else s.
// Groups NN, NT: x (S / ROWS rounded up + E) / clusters per group, y column tiles;
//   TN: x row tiles / clusters per group, y experts, z column tiles: software drivers give each core a range of z, and so
//   every core gets a part of every expert, however uneven they are.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint CLUSTER = 8;
layout(constant_id = 8) const uint GATHERED = 0;  // 0 neither, 1 A, 2 B
// A constant, because TN finds a row for each step of its inner loop, and vectors of integers have no division.
layout(constant_id = 9) const uint DIVISOR = 1;
layout(binding = 5) uniform textureBuffer a;
layout(binding = 6) uniform textureBuffer b;
layout(binding = 7) uniform utextureBuffer offsets;  // [E + 1]
layout(binding = 8) uniform utextureBuffer gather;  // [S]
layout(push_constant) uniform Push {
  int M;
  int N;
  int K;
  int experts;
};
int source_row(int s) { return int(texelFetch(gather, s).x / DIVISOR); }
int row_of_a(int row) { return GATHERED == 1 ? source_row(row) : row; }
int row_of_b(int row) { return GATHERED == 2 ? source_row(row) : row; }
#define COLUMN_TILE (FORM == TN ? gl_WorkGroupID.z : gl_WorkGroupID.y)
#include "matmul_lanes.glsl"
#include "expert_tile.glsl"

void main() {
  if (FORM == TN) {
    int expert = int(gl_WorkGroupID.y);
    int m0 = tile_index() * int(ROWS);
    accumulate(
        0, M, 0, N, m0, M, N, int(texelFetch(offsets, expert).x), int(texelFetch(offsets, expert + 1).x));
    finish(expert * M * N, 0, m0, M, N);
  } else {
    ExpertTile tile = expert_tile(tile_index(), int(ROWS), experts);
    int m0 = tile.m0, m_end = tile.m_end, expert = tile.expert;
    accumulate(
        0, K, expert * N * K, FORM == NT ? K : N, m0, max(m_end, 1), N, 0, m0 < m_end ? K : 0);
    finish(0, expert * N, m0, m_end, N);
  }
}
