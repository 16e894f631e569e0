#version 450
// C[z] = op(A) op(B) of operands that pack_panels laid out or that are read as they are, then the epilogue; z counts chunks of
// `chunk4` quads of k, each summed into its own C [M, N], of one matrix after another. N % (4 SPAN) == 0.
//   A  [row tiles][K4][ROWS] vectors along k where PACKED, [M, 4 K4] ALONG_K
//   B  [column tiles][K4][4 SPAN CLUSTER] vectors along k, in the order of pack_panels.comp, where PACKED, [N, 4 K4] ALONG_K, [4 K4, N]
//      ACROSS
// What a core reads of packed operands lies in the order in which it reads it: no cache set and no page is asked for two things at once.
// Groups: one subgroup each; x row tiles, y column tiles, z chunks of matrices.
#extension GL_GOOGLE_include_directive : require
#include "span.glsl"
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint CLUSTER = 8;  // the subgroup
layout(constant_id = 8) const uint A_ORDER = 0;
layout(constant_id = 9) const uint B_ORDER = 0;
layout(binding = 5, rgba32f) uniform readonly restrict imageBuffer a;
layout(binding = 6, rgba32f) uniform readonly restrict imageBuffer b;
layout(push_constant) uniform Push {
  int M;
  int N;
  int K4;
  int chunk4;
  int chunks;  // of a matrix
  IDENTITY
};
int matrix() { return int(gl_WorkGroupID.z) / chunks; }
int row_of_a(int row) { return matrix() * M + row; }
#include "matmul_panels.glsl"

void main() {
  int tile = int(gl_WorkGroupID.x), column_tile = int(gl_WorkGroupID.y), k = int(gl_WorkGroupID.z) % chunks * chunk4;
  int packed = matrix() * int(gl_NumWorkGroups.x) + tile;
  accumulate(packed, tile * ROWS, M, matrix(), column_tile, N, K4, k, min(chunk4, K4 - k));
  finish(int(gl_WorkGroupID.z) * M * N, 0, tile * ROWS, M, column_tile, N);
}
