#version 450
// C [M, N] = A [M, K] B [K, N], f32, for lavapipe: what other kernels are measured by. M any, N and K multiples of 4.
//
// One subgroup of S lanes computes a tile of 32 x 8 S in registers. Operands are packed: A as [M / 32][K / 4][32] vectors
// along K, B as [N / (8 S)][K][2 S] vectors along N. Groups: (ceil(N / (8 S)), ceil(M / 32)).
// Compile without optimisation: an optimiser that reorders the unrolled body costs a third of the speed.
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_shuffle : require
#ifndef S
#define S 8
#endif
const int ROWS = 32;
const int VECTORS = 2;

layout(local_size_x = S) in;
layout(binding = 0, rgba32f) uniform readonly restrict imageBuffer A;
layout(binding = 1, rgba32f) uniform readonly restrict imageBuffer B;
layout(binding = 2) writeonly buffer Product { vec4 C[]; };
layout(push_constant) uniform Push { int M, N, K; };

void main() {
  const int lane = int(gl_LocalInvocationID.x), m0 = int(gl_WorkGroupID.y) * ROWS;
  const int N4 = N / 4, n4 = int(gl_WorkGroupID.x) * S * VECTORS + lane;
  vec4 c[ROWS][VECTORS];
  [[unroll]] for (int i = 0; i < ROWS; i++)
    [[unroll]] for (int v = 0; v < VECTORS; v++) c[i][v] = vec4(0);
  int ia = int(gl_WorkGroupID.y) * (K / 4) * ROWS + lane, ib = int(gl_WorkGroupID.x) * K * S * VECTORS + lane;
  for (int k = 0; k < K; k += 4) {
    vec4 a[ROWS / S], b[4][VECTORS];
    [[unroll]] for (int q = 0; q < ROWS / S; q++) a[q] = imageLoad(A, ia + S * q);
    [[unroll]] for (int t = 0; t < 4; t++)
      [[unroll]] for (int v = 0; v < VECTORS; v++) b[t][v] = imageLoad(B, ib + (t * VECTORS + v) * S);
    ia += ROWS;
    ib += 4 * S * VECTORS;
    // Row by row, so that the sums of one row stay in registers.
    [[unroll]] for (int i = 0; i < ROWS; i++) {
      const float x = subgroupShuffle(a[i / S].x, i % S), y = subgroupShuffle(a[i / S].y, i % S);
      const float z = subgroupShuffle(a[i / S].z, i % S), w = subgroupShuffle(a[i / S].w, i % S);
      [[unroll]] for (int v = 0; v < VECTORS; v++) {
        c[i][v] += x * b[0][v];
        c[i][v] += y * b[1][v];
        c[i][v] += z * b[2][v];
        c[i][v] += w * b[3][v];
      }
    }
  }
  [[unroll]] for (int i = 0; i < ROWS; i++)
    [[unroll]] for (int v = 0; v < VECTORS; v++)
      if (m0 + i < M && n4 + S * v < N4) C[(m0 + i) * N4 + n4 + S * v] = c[i][v];
}
