// A tile of C = op(A) op(B), SIZE x SIZE, by a workgroup of 2 SIZE invocations, operands through shared memory: for GPUs.
// SIZE 32, 64, 128 gives an invocation 16, 32, 64 sums in registers, and in every step of DEPTH products one vector of
// A and one of B to fetch. The next step's are fetched before this one's products and stored after them, into the other
// half of the shared memory, so that one barrier per step is enough.
//
// The includer declares the rows that operands are really stored in: `int row_of_a(int)`, `int row_of_b(int)`.
#extension GL_EXT_control_flow_attributes : require
#include "tile_operands.glsl"

const int DEPTH = 8;
// Sums of an invocation: QUADS_M x QUADS_N squares of 4 x 4, a quarter or half of the tile apart.
const int QUADS_M = SIZE > 32 ? 2 : 1;
const int QUADS_N = SIZE > 64 ? 2 : 1;
const int ROWS = SIZE / 4 / QUADS_M;     // invocations along M
const int COLUMNS = SIZE / 4 / QUADS_N;  // invocations along N
// A vector of padding: transposing writes then hit different banks.
shared vec4 a_tile[2][DEPTH][SIZE / 4 + 1];
shared vec4 b_tile[2][DEPTH][SIZE / 4 + 1];

/// Where an invocation's vector of an operand lies: along the tile, along K; neighbours are neighbours in memory.
ivec2 place(bool along_k) {
  int i = int(gl_LocalInvocationID.x);
  return along_k ? ivec2(i / 2, i % 2 * 4) : ivec2(i % (SIZE / 4) * 4, i / (SIZE / 4));
}

/// Stores an operand's vector as column or as row of the shared tile [k][along the tile].
#define KEEP(tile, along_k, at, value) \
  if (along_k) { \
    [[unroll]] for (int j_ = 0; j_ < 4; j_++) tile[(at).y + j_][(at).x / 4][(at).x % 4] = (value)[j_]; \
  } else { \
    tile[(at).y][(at).x / 4] = value; \
  }

/// The tile of rows m0 ..< m_end and columns n0 ..< n_end of C; sums over k_begin ..< k_end, then the epilogue.
/// - a_start, b_start: first element of the matrices; a_length, b_length: their contiguous extents.
/// - c_start, bias_start: first element of C, whose rows are n_end long, and of its bias.
void tile(
    int a_start, int a_length, int b_start, int b_length, int m0, int m_end, int n0, int n_end, int k_begin, int k_end,
    int c_start, int bias_start) {
  // Subgroups cover 8 x 4 invocations, so that they read few different vectors of shared memory.
  int i = int(gl_LocalInvocationID.x);
  int column = i % 8 + 8 * (i / 32 % (COLUMNS / 8));
  int row = i / 8 % 4 + 4 * (i / 32 / (COLUMNS / 8));

  ivec2 a_at = place(FORM != TN);
  ivec2 b_at = place(FORM == NT);
  int a_row = a_start + (FORM == TN ? 0 : row_of_a(min(m0 + a_at.x, m_end - 1)) * a_length);
  int b_row = b_start + (FORM == NT ? min(n0 + b_at.x, n_end - 1) * b_length : 0);

  vec4 sums[4 * QUADS_M][QUADS_N];
  [[unroll]] for (int r = 0; r < 4 * QUADS_M; r++)
    [[unroll]] for (int q = 0; q < QUADS_N; q++) sums[r][q] = vec4(0.0);

  vec4 a_next, b_next;
  int half_ = 0;
  for (int k0 = k_begin - DEPTH; k0 < k_end; k0 += DEPTH) {
    int k = k0 + DEPTH + a_at.y;
    if (FORM == TN) {
      a_next = vec4(0.0);
      if (k < k_end) a_next = FETCH(a, ALIGNED_A, a_row + row_of_a(k) * a_length, m0 + a_at.x, a_length);
    } else {
      a_next = FETCH(a, ALIGNED_A, a_row, k, k_end);
    }
    k = k0 + DEPTH + b_at.y;
    if (FORM == NT) {
      b_next = FETCH(b, ALIGNED_B, b_row, k, k_end);
    } else {
      b_next = vec4(0.0);
      if (k < k_end) b_next = FETCH(b, ALIGNED_B, b_row + row_of_b(k) * b_length, n0 + b_at.x, b_length);
    }
    // The first pass only fetches.
    if (k0 >= k_begin) {
      [[unroll]] for (int t = 0; t < DEPTH; t++) {
        vec4 x[QUADS_M], y[QUADS_N];
        [[unroll]] for (int q = 0; q < QUADS_M; q++) x[q] = a_tile[half_][t][row + q * ROWS];
        [[unroll]] for (int q = 0; q < QUADS_N; q++) y[q] = b_tile[half_][t][column + q * COLUMNS];
        [[unroll]] for (int r = 0; r < 4 * QUADS_M; r++)
          [[unroll]] for (int q = 0; q < QUADS_N; q++) sums[r][q] += x[r / 4][r % 4] * y[q];
      }
    }
    half_ = 1 - half_;
    KEEP(a_tile[half_], FORM != TN, a_at, a_next)
    KEEP(b_tile[half_], FORM == NT, b_at, b_next)
    barrier();
  }

  [[unroll]] for (int q = 0; q < QUADS_N; q++) {
    int n = n0 + 4 * (column + q * COLUMNS);
    if (n < n_end) {
      vec4 bias_values = bias_at(bias_start, n, n_end);
      [[unroll]] for (int r = 0; r < 4 * QUADS_M; r++) {
        int m = m0 + 4 * (row + r / 4 * ROWS) + r % 4;
        if (m < m_end) epilogue(c_start + m * n_end, n, n_end, vec4[1](sums[r][q]), vec4[1](bias_values));
      }
    }
  }
}
