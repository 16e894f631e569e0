#version 450
// C_e = sum over the rows s of expert e of A[s, :]^T B[s, :], form TN of grouped_matmul, of operands that pack_expert_columns laid
// out; C [E, M, N], zeros where e has no rows. N is a multiple of 4 SPAN.
//   A [M / ROWS up][K4][ROWS], B [N / (4 SPAN CLUSTER) up][K4][4 SPAN CLUSTER] vectors along s
// Groups: one subgroup each; x row tiles of a slice, y experts, z slices of column tiles: software drivers give each core a range
// of z, and so every core gets a part of every expert, however uneven they are.
#extension GL_GOOGLE_include_directive : require
#include "span.glsl"
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint CLUSTER = 8;  // the subgroup
const uint A_ORDER = 0;
const uint B_ORDER = 0;
layout(binding = 5, rgba32f) uniform readonly restrict imageBuffer a;
layout(binding = 6, rgba32f) uniform readonly restrict imageBuffer b;
layout(binding = 7) uniform utextureBuffer offsets;  // [E + 1]
layout(push_constant) uniform Push {
  int M;
  int N;
  int K4;
  int slices;  // of a column tile
  IDENTITY
};
int row_of_a(int row) { return row; }
#include "matmul_panels.glsl"
#include "expert_quads.glsl"

void main() {
  int slice = int(gl_WorkGroupID.z) % slices, column_tile = int(gl_WorkGroupID.z) / slices, expert = int(gl_WorkGroupID.y);
  int tile = slice * int(gl_NumWorkGroups.x) + int(gl_WorkGroupID.x);
  ExpertQuads quads = expert_quads(expert);
  accumulate(tile, tile * ROWS, M, 0, column_tile, N, K4, quads.first, tile * ROWS < M ? quads.count : 0);
  finish(expert * M * N, 0, tile * ROWS, M, column_tile, N);
}
