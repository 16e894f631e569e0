#version 450
// C[b, m, n] = epilogue of the sum over chunks of partial[b, chunk, m, n], in the order of the chunks: ends a split matmul.
// One invocation per vector of four columns: x columns / 4, y rows (all of them, over the batch).
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 8, local_size_y = 8) in;
layout(binding = 5) uniform textureBuffer partial;
layout(push_constant) uniform Push {
  int rows;  // of all batch members
  int M;
  int N;
  int chunks;
};
#include "epilogue.glsl"

void main() {
  int n = int(gl_GlobalInvocationID.x) * 4;
  int row = int(gl_GlobalInvocationID.y);
  if (n < N && row < rows) {
    int start = (row / M * chunks * M + row % M) * N;
    vec4 sum = vec4(0.0);
    for (int i = 0; i < chunks; i++) sum += fetch4(partial, ALIGNED_C, start + i * M * N, n, N);
    epilogue(row * N, n, N, vec4[1](sum), vec4[1](bias_at(0, n, N)));
  }
}
