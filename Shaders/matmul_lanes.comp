#version 450
// C[z] = op(A[z]) op(B[z]), then the epilogue; f32, row-major, C [M, N], any M, N, K >= 1.
//   NN: A [M, K], B [K, N]    NT: A [M, K], B [N, K]    TN: A [K, M], B [K, N]
// With chunks > 1, z counts batch x chunks, and each z sums `chunk` (a multiple of 4) of the K products into its own C.
// Groups: x row tiles / clusters per group, y column tiles, z batch x chunks.
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint CLUSTER = 8;
layout(binding = 5) uniform textureBuffer a;
layout(binding = 6) uniform textureBuffer b;
layout(push_constant) uniform Push {
  int M;
  int N;
  int K;
  int chunks;
  int chunk;
};
int row_of_a(int row) { return row; }
int row_of_b(int row) { return row; }
#include "matmul_lanes.glsl"

void main() {
  int z = int(gl_WorkGroupID.z);
  int batch = z / chunks;
  int k_begin = z % chunks * chunk;
  int m0 = tile_index() * int(ROWS);
  accumulate(
      batch * M * K, FORM == TN ? M : K, batch * N * K, FORM == NT ? K : N, m0, M, N, k_begin, min(K, k_begin + chunk));
  finish(z * M * N, 0, m0, M, N);
}
