// What a product by tiles of SIZE x SIZE in shared memory reads, and its rows as vectors: for matmul_tiles.glsl and matmul_matrix.glsl.
//   NN: A [M, K], B [K, N]    NT: A [M, K], B [N, K]    TN: A [K, M], B [K, N]
layout(local_size_x_id = 0) in;  // 2 SIZE
layout(constant_id = 1) const int SIZE = 64;
layout(constant_id = 5) const uint FORM = 0;
layout(constant_id = 6) const bool ALIGNED_A = true;  // rows of A are whole vectors
layout(constant_id = 7) const bool ALIGNED_B = true;
#include "epilogue.glsl"
#include "buffer4.glsl"
layout(binding = 5) readonly buffer A { vec4 a[]; };
layout(binding = 6) readonly buffer B { vec4 b[]; };

const uint NN = 0, NT = 1, TN = 2;
