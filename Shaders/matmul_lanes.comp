#version 450
// C[z] = op(A[z]) op(B[z]) with an epilogue; f32, row-major, C [M, N], any M, N, K >= 1.
//   NN: A [M, K], B [K, N]    NT: A [M, K], B [N, K]    TN: A [K, M], B [K, N]
// A cluster of CLUSTER lanes owns a tile of ROWS x (4 CLUSTER VECTORS) elements of C in registers. It reads its operands
// as texels and passes A around by subgroupShuffle: no shared memory, no barrier (docs/matmul.md).
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint LOCAL_SIZE = 8;
layout(constant_id = 1) const int CLUSTER = 8;
layout(constant_id = 2) const bool WHOLE_SUBGROUP = true;
layout(constant_id = 3) const int ROWS = 32;
layout(constant_id = 4) const int VECTORS = 2;
layout(constant_id = 5) const uint FORM = 0;
layout(constant_id = 6) const bool ALIGNED_A = true;
layout(constant_id = 7) const bool ALIGNED_B = true;

layout(set = 0, binding = 0) uniform textureBuffer a;
layout(set = 0, binding = 1) uniform textureBuffer b;

layout(push_constant) uniform Push {
  int M;
  int N;
  int K;
  int a_stride;
  int b_stride;
  int c_stride;
  int chunks;
  int chunk;
};
#include "epilogue.glsl"

const uint NN = 0, NT = 1, TN = 2;

float pass(float x, uint base, int lane) { return WHOLE_SUBGROUP ? subgroupShuffle(x, lane) : subgroupShuffle(x, base + lane); }

void main() {
  int lane = int(gl_SubgroupInvocationID) % CLUSTER;
  uint base = gl_SubgroupInvocationID - lane;
  int cluster = int(gl_SubgroupID * gl_SubgroupSize + gl_SubgroupInvocationID) / CLUSTER;
  int z = int(gl_WorkGroupID.z) / chunks;
  int k_begin = (int(gl_WorkGroupID.z) % chunks) * chunk;
  int k_end = min(K, k_begin + chunk);
  int n0 = int(gl_WorkGroupID.x) * 4 * CLUSTER * VECTORS + 4 * lane;
  int m0 = (int(gl_WorkGroupID.y) * (int(LOCAL_SIZE) / CLUSTER) + cluster) * ROWS;

  vec4 sum[ROWS][VECTORS];
  [[unroll]] for (int i = 0; i < ROWS; i++)
    [[unroll]] for (int v = 0; v < VECTORS; v++) sum[i][v] = vec4(0.0);

  const int ACROSS = FORM == TN ? (ROWS + 4 * CLUSTER - 1) / (4 * CLUSTER) : ROWS / CLUSTER;
  int a_start[ACROSS];
  [[unroll]] for (int q = 0; q < ACROSS; q++) {
    if (FORM == TN) a_start[q] = ALIGNED_A ? min(m0 + 4 * (lane + CLUSTER * q), M - 4) : m0 + 4 * (lane + CLUSTER * q);
    else a_start[q] = z * a_stride + min(m0 + lane + CLUSTER * q, M - 1) * K;
  }
  int b_start[VECTORS][4];
  [[unroll]] for (int v = 0; v < VECTORS; v++) {
    int n = n0 + 4 * CLUSTER * v;
    [[unroll]] for (int j = 0; j < 4; j++)
      b_start[v][j] = FORM == NT ? z * b_stride + min(n + j, N - 1) * K : ALIGNED_B ? min(n, N - 4) : n;
  }

  for (int k = k_begin; k < k_end; k += 4) {
    vec4 a_part[FORM == TN ? 4 * ACROSS : ACROSS];
    vec4 b_part[4][VECTORS];
    if (FORM == TN) {
      [[unroll]] for (int t = 0; t < 4; t++)
        [[unroll]] for (int q = 0; q < ACROSS; q++) {
          vec4 x = fetch4(a, ALIGNED_A, z * a_stride + min(k + t, k_end - 1) * M, a_start[q], M);
          a_part[4 * q + t] = k + t < k_end ? x : vec4(0.0);
        }
    } else {
      [[unroll]] for (int q = 0; q < ACROSS; q++) a_part[q] = fetch4(a, ALIGNED_A, a_start[q], k, K);
    }
    if (FORM == NT) {
      [[unroll]] for (int v = 0; v < VECTORS; v++) {
        vec4 x[4];
        [[unroll]] for (int j = 0; j < 4; j++) x[j] = fetch4(b, ALIGNED_B, b_start[v][j], k, K);
        [[unroll]] for (int t = 0; t < 4; t++) b_part[t][v] = vec4(x[0][t], x[1][t], x[2][t], x[3][t]);
      }
    } else {
      [[unroll]] for (int t = 0; t < 4; t++)
        [[unroll]] for (int v = 0; v < VECTORS; v++)
          b_part[t][v] = fetch4(b, ALIGNED_B, z * b_stride + min(k + t, k_end - 1) * N, b_start[v][0], N);
    }
    [[unroll]] for (int i = 0; i < ROWS; i++) {
      float x[4];
      [[unroll]] for (int t = 0; t < 4; t++) {
        if (FORM == TN) x[t] = pass(a_part[i / (4 * CLUSTER) * 4 + t][i % 4], base, i / 4 % CLUSTER);
        else x[t] = pass(a_part[i / CLUSTER][t], base, i % CLUSTER);
      }
      [[unroll]] for (int v = 0; v < VECTORS; v++)
        [[unroll]] for (int t = 0; t < 4; t++) sum[i][v] += x[t] * b_part[t][v];
    }
  }

  int c_start = int(gl_WorkGroupID.z) * c_stride;
  [[unroll]] for (int v = 0; v < VECTORS; v++) {
    int n = n0 + 4 * CLUSTER * v;
    vec4 bias_values = bias_at(0, ALIGNED_C ? min(n, N - 4) : n, N);
    [[unroll]] for (int i = 0; i < ROWS; i++)
      if (m0 + i < M && n < N) epilogue(c_start + (m0 + i) * N, n, N, sum[i][v], bias_values);
  }
}
