#version 450
// C_e = sum over the rows s in offsets[e] ..< offsets[e + 1] of A[row(s), :]^T B[row(s), :], then the epilogue, as matmul_addressed; form
// TN of grouped_matmul.
//   A [*, M], B [*, N], row(s) = gather[s] / divisor of the operand that is GATHERED (1 A, 2 B), else s; or panels of rows in the order of s
//   C [E, M, N]; S is DEPTH or more
// The last tiles move back, so that some of C is computed and stored twice, as the same.
// Groups: one subgroup each; x row tiles, y experts, z column tiles, so that two cores get halves of every expert.
#extension GL_GOOGLE_include_directive : require
#include "addressed_tile.glsl"
layout(local_size_x_id = 0) in;
layout(constant_id = 8) const uint GATHERED = 0;
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
  int M;
  int N;
  int S;
  int divisor;
  uvec2 a_address;
  uvec2 b_address;
  uvec2 bias_address;
  uvec2 residual_address;
  uvec2 offsets_address;
  uvec2 gather_address;
};

int row_of(uint operand, int s) { return GATHERED == operand ? integer_at(gather_address, s) / divisor : s; }

#define NUMBER(r, k) floats_at(a_address, a_start + row_of(1, at + (k)) * a_length).at[r]
#define ROW(k) floats_at(b_address, b_start + row_of(2, at + (k)) * b_length)

void main() {
  int expert = int(gl_WorkGroupID.y), row_tile = int(gl_WorkGroupID.x), column_tile = int(gl_WorkGroupID.z);
  int row = min(row_tile * ROWS, M - ROWS), column = min(column_tile * WIDTH, N - WIDTH);
  int a_start = A_PANEL > 0 ? in_a_panels(row_tile, row, M, S) : row, a_length = A_PANEL > 0 ? A_PANEL : M;
  int b_start = B_PANELS ? in_b_panels(column_tile, S) : column, b_length = B_PANELS ? B_WIDTH : N;
  int s = integer_at(offsets_address, expert), end = integer_at(offsets_address, expert + 1);
  CLEAR_SUMS
  ADD_ALL_PRODUCTS(s, end, S)
  FINISH((expert * M + row) * N + column, ROWS, 0, column, N)
}
