#version 450
// C[z] = op(A) B, then the epilogue (include/epilogue.glsl) without an activation; z counts chunks of `extent` products, each summed into
// its own C [M, N], of one matrix after another.
//   A [M, K], ACROSS: [K, M] or panels of it; B [K, N] or panels of it; M is ROWS or more, K is DEPTH or more, N is WIDTH or more
// The last tiles move back, so that some of C is computed and stored twice, as the same.
// Groups: one subgroup each; x row tiles, y column tiles, z chunks of matrices.
#extension GL_GOOGLE_include_directive : require
#include "addressed_tile.glsl"
layout(local_size_x_id = 0) in;
layout(constant_id = 8) const bool ACROSS = false;
layout(binding = 0) uniform textureBuffer bias;
layout(binding = 1) uniform textureBuffer aux;  // see epilogue.glsl
layout(binding = 2) uniform textureBuffer residual;
WIDE_SPANS(3, c)
WIDE_SPANS(4, pre)
layout(binding = 5) uniform textureBuffer a;
layout(binding = 6) uniform textureBuffer b;
layout(push_constant) uniform Push {
  int M;
  int N;
  int K;
  int extent;
  int chunks;  // of a matrix
  uvec2 a_address;
  uvec2 b_address;
  uvec2 bias_address;
  uvec2 residual_address;
};

#define NUMBER(r, k) \
  (ACROSS \
   ? floats_at(a_address, a_start + at * a_length + (k) * a_length).at[r] \
   : floats_at(a_address, a_start + at + (r) * K).at[k])
#define ROW(k) floats_at(b_address, b_start + at * b_length + (k) * b_length)

void main() {
  int matrix = int(gl_WorkGroupID.z) / chunks, first = int(gl_WorkGroupID.z) % chunks * extent;
  int row = min(int(gl_WorkGroupID.x) * ROWS, M - ROWS), column = min(int(gl_WorkGroupID.y) * WIDTH, N - WIDTH);
  int a_start = matrix * M * K + row * (ACROSS ? 1 : K), b_start = matrix * K * N + column;
  if (A_PANEL > 0) a_start = matrix * int(gl_NumWorkGroups.x) * K * A_PANEL + in_a_panels(int(gl_WorkGroupID.x), row, M, K);
  if (B_PANELS) b_start = in_b_panels(matrix * int(gl_NumWorkGroups.y) + int(gl_WorkGroupID.y), K);
  int a_length = A_PANEL > 0 ? A_PANEL : M, b_length = B_PANELS ? B_WIDTH : N;
  int end = min(first + extent, K), k = first;
  CLEAR_SUMS
  ADD_ALL_PRODUCTS(k, end, K)
  FINISH(int(gl_WorkGroupID.z) * M * N + row * N + column, ROWS, 0, column, N)
}
