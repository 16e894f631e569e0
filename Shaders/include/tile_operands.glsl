// What a product by tiles of SIZE x SIZE in shared memory reads, and its rows as vectors: for matmul_tiles.glsl and matmul_matrix.glsl.
//   NN: A [M, K], B [K, N]    NT: A [M, K], B [N, K]    TN: A [K, M], B [K, N]
layout(local_size_x_id = 0) in;  // 2 SIZE
layout(constant_id = 1) const int SIZE = 64;
layout(constant_id = 5) const uint FORM = 0;
layout(constant_id = 6) const bool ALIGNED_A = true;  // rows of A are whole vectors
layout(constant_id = 7) const bool ALIGNED_B = true;
#include "epilogue.glsl"
layout(binding = 5) readonly buffer A { vec4 a[]; };
layout(binding = 6) readonly buffer B { vec4 b[]; };

const uint NN = 0, NT = 1, TN = 2;

/// Elements i ..< i + 4 of a row of `count` that begins at `start`; zeros past its end.
#define FETCH(buffer, aligned, start, i, count) \
  (aligned ? ((i) < (count) ? buffer[((start) + (i)) >> 2] : vec4(0.0)) \
           : vec4(PICK(buffer, start, i, count), PICK(buffer, start, (i) + 1, count), \
                  PICK(buffer, start, (i) + 2, count), PICK(buffer, start, (i) + 3, count)))
#define PICK(buffer, start, i, count) ((i) < (count) ? buffer[((start) + (i)) >> 2][((start) + (i)) & 3] : 0.0)
