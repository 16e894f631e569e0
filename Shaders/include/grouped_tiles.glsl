// One product per expert over the rows that were sorted to it, by tiles; arguments as grouped_matmul.comp. By matrix units where MATRIX is
// defined.
// Groups NN, NT: x column tiles, y row tiles (S / SIZE rounded up + E); TN: x column tiles, y row tiles, z experts.
layout(constant_id = 8) const uint GATHERED = 0;  // 0 neither, 1 A, 2 B
layout(binding = 7) uniform utextureBuffer offsets;  // [E + 1]
layout(binding = 8) uniform utextureBuffer gather;  // [S]
layout(push_constant) uniform Push {
  int M;
  int N;
  int K;
  int experts;
  int divisor;
};
int source_row(int s) { return int(texelFetch(gather, s).x) / divisor; }
int row_of_a(int row) { return GATHERED == 1 ? source_row(row) : row; }
int row_of_b(int row) { return GATHERED == 2 ? source_row(row) : row; }
#ifdef MATRIX
#include "matmul_matrix.glsl"
#else
#include "matmul_tiles.glsl"
#endif
#include "expert_tile.glsl"

void main() {
  int n0 = int(gl_WorkGroupID.x) * SIZE;
  if (FORM == TN) {
    int expert = int(gl_WorkGroupID.z);
    tile(
        0, M, 0, N, int(gl_WorkGroupID.y) * SIZE, M, n0, N, int(texelFetch(offsets, expert).x),
        int(texelFetch(offsets, expert + 1).x), expert * M * N, 0);
  } else {
    ExpertTile found = expert_tile(int(gl_WorkGroupID.y), SIZE, experts);
    if (found.m0 < found.m_end) {
      tile(
          0, K, found.expert * N * K, FORM == NT ? K : N, found.m0, found.m_end, n0, N, 0, K, 0, found.expert * N);
    }
  }
}
