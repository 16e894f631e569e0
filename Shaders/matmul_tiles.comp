#version 450
// C[z] = op(A[z]) op(B[z]), then the epilogue, for GPUs: 64 x 64 of C per group of 256, operands through shared memory.
// Arguments as matmul_lanes.comp. Groups: x column tiles, y row tiles, z batch x chunks.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 256) in;

const uint NN = 0, NT = 1, TN = 2;
layout(constant_id = 5) const uint FORM = NN;

layout(binding = 5) readonly buffer A { float a[]; };
layout(binding = 6) readonly buffer B { float b[]; };
layout(push_constant) uniform Push {
  int M;
  int N;
  int K;
  int chunks;
  int chunk;
};
#include "epilogue.glsl"

const int TILE = 64;
const int DEPTH = 16;
// Four floats of padding: transposing writes hit different banks, and rows stay whole vec4.
shared vec4 a_tile[DEPTH][TILE / 4 + 1];
shared vec4 b_tile[DEPTH][TILE / 4 + 1];

/// Where element `index` of a tile lies: (along the tile, along K); neighbours are neighbours in memory.
ivec2 place(int index, bool along_k) {
  return along_k ? ivec2(index / DEPTH, index % DEPTH) : ivec2(index % TILE, index / TILE);
}

void main() {
  int thread = int(gl_LocalInvocationID.x);
  int z = int(gl_WorkGroupID.z);
  int k_begin = z % chunks * chunk;
  int k_end = min(K, k_begin + chunk);
  int a_start = z / chunks * M * K;
  int b_start = z / chunks * N * K;
  int m0 = int(gl_WorkGroupID.y) * TILE;
  int n0 = int(gl_WorkGroupID.x) * TILE;
  int row = thread / 16;
  int column = thread % 16;

  vec4 sums[4];
  [[unroll]] for (int i = 0; i < 4; i++) sums[i] = vec4(0.0);
  for (int k0 = k_begin; k0 < k_end; k0 += DEPTH) {
    [[unroll]] for (int part = 0; part < TILE * DEPTH; part += 256) {
      ivec2 at = place(part + thread, FORM != TN);
      int m = m0 + at.x, k = k0 + at.y;
      a_tile[at.y][at.x / 4][at.x % 4] =
          m < M && k < k_end ? a[a_start + (FORM == TN ? k * M + m : m * K + k)] : 0.0;
      at = place(part + thread, FORM == NT);
      int n = n0 + at.x;
      k = k0 + at.y;
      b_tile[at.y][at.x / 4][at.x % 4] =
          n < N && k < k_end ? b[b_start + (FORM == NT ? n * K + k : k * N + n)] : 0.0;
    }
    barrier();
    [[unroll]] for (int k = 0; k < DEPTH; k++) {
      vec4 x = a_tile[k][row], y = b_tile[k][column];
      [[unroll]] for (int i = 0; i < 4; i++) sums[i] += x[i] * y;
    }
    barrier();
  }

  int n = n0 + 4 * column;
  [[unroll]] for (int i = 0; i < 4; i++) {
    int m = m0 + 4 * row + i;
    if (m < M && n < N) epilogue((z * M + m) * N, n, N, sums[i], bias_at(0, n, N));
  }
}
