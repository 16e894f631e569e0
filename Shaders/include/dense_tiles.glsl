// C[z] = op(A[z]) op(B[z]), then the epilogue, by tiles; arguments as matmul_lanes.comp. By matrix units where MATRIX is defined.
// Groups: x column tiles, y row tiles, z batch x chunks.
layout(push_constant) uniform Push {
  int M;
  int N;
  int K;
  int chunks;
  int chunk;
};
int row_of_a(int row) { return row; }
int row_of_b(int row) { return row; }
#ifdef MATRIX
#include "matmul_matrix.glsl"
#else
#include "matmul_tiles.glsl"
#endif

void main() {
  int z = int(gl_WorkGroupID.z);
  int k_begin = z % chunks * chunk;
  tile(
      z / chunks * M * K, FORM == TN ? M : K, z / chunks * N * K, FORM == NT ? K : N, int(gl_WorkGroupID.y) * SIZE, M,
      int(gl_WorkGroupID.x) * SIZE, N, k_begin, min(K, k_begin + chunk), z * M * N, 0);
}
