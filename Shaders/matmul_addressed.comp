#version 450
// C[z] = op(A) B, then the epilogue (include/epilogue.glsl) without an activation; z counts chunks of `extent` products, each summed into
// its own C [M, N], of one matrix after another.
//   A [M, K], ACROSS: [K, M]; B [K, N]; M is ROWS or more, K is DEPTH or more, N is WIDTH or more and a multiple of 8
// The last tiles move back, so that some of C is computed and stored twice, as the same.
// Groups: one subgroup each; x row tiles, y column tiles, z chunks of matrices.
#extension GL_GOOGLE_include_directive : require
#include "addressed_tile.glsl"
layout(local_size_x_id = 0) in;
layout(constant_id = 8) const bool ACROSS = false;
layout(binding = 0) uniform textureBuffer bias;
layout(binding = 1) uniform textureBuffer aux;  // see epilogue.glsl
layout(binding = 2) uniform textureBuffer residual;
layout(binding = 3) writeonly buffer C_ { u64vec4 c[]; };
layout(binding = 4) writeonly buffer Pre { u64vec4 pre[]; };
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

#define NUMBER(r, k) (ACROSS ? floats_at(a_address, a_at + (k) * M).at[r] : floats_at(a_address, a_at + (r) * K).at[k])
#define ROW(k) floats_at(b_address, b_at + (k) * N)

void main() {
  int matrix = int(gl_WorkGroupID.z) / chunks, first = int(gl_WorkGroupID.z) % chunks * extent;
  int row = min(int(gl_WorkGroupID.x) * ROWS, M - ROWS), column = min(int(gl_WorkGroupID.y) * WIDTH, N - WIDTH);
  int a_start = matrix * M * K + row * (ACROSS ? 1 : K), b_start = matrix * K * N + column;
  int end = min(first + extent, K), k = first;
  CLEAR_SUMS
  // A driver may compute a turn of a loop that no lane takes: places stay inside.
  for (; k + DEPTH <= end; k += DEPTH) {
    int at = min(k, K - DEPTH), a_at = a_start + at * (ACROSS ? M : 1), b_at = b_start + at * N;
    ADD_PRODUCTS(DEPTH)
  }
  for (; k < end; k++) {
    int at = min(k, K - 1), a_at = a_start + at * (ACROSS ? M : 1), b_at = b_start + at * N;
    ADD_PRODUCTS(1)
  }
  FINISH(int(gl_WorkGroupID.z) * M * N + row * N + column, ROWS, 0, column, N)
}
