// A tile of C = op(A) op(B), SIZE x SIZE, by the matrix units of a GPU, for a workgroup of 2 SIZE invocations: operands are rounded to
// f16 on their way into shared memory, sums are f32. A subgroup owns FRAGMENTS_M x FRAGMENTS_N matrices of the units' size; in every step
// of DEPTH products an invocation fetches VECTORS vectors of A and of B, while the products of the step before run.
//
// The includer declares the rows that operands are really stored in: `int row_of_a(int)`, `int row_of_b(int)`.
#include "matrix_unit.glsl"
#include "tile_operands.glsl"
layout(constant_id = 11) const int SUBGROUPS_N = 2;  // along N
layout(constant_id = 12) const uint SCALED = 0;      // 1 A, 2 B: a gradient, which is multiplied by SCALE and its product divided

const int DEPTH = 32;  // MATRIX_K divides it
const int VECTORS = 4;
const int FRAGMENTS_M = SIZE / MATRIX_M / (SUBGROUPS / SUBGROUPS_N);
const int FRAGMENTS_N = SIZE / MATRIX_N / SUBGROUPS_N;
// Both tiles lie along K, as units want to read them: compilers read the other way number by number. Vectors are of four f16, and two of
// padding begin rows in different banks.
const int ROW = DEPTH / 4 + 2;
shared uvec2 a_tile[SIZE * ROW];
shared uvec2 b_tile[SIZE * ROW];
// A matrix of sums of each subgroup, on its way to the epilogue.
const int PATCH = MATRIX_M * MATRIX_N / 4;
const int LANES = 2 * SIZE / SUBGROUPS;
shared uvec4 patches[SUBGROUPS * PATCH];

/// Where vector v that an invocation fetches lies in a tile: along the tile, along K. Neighbours are neighbours in memory; across, the
/// vectors are a square.
ivec2 place(bool along_k, int v) {
  int i = int(gl_LocalInvocationID.x);
  return along_k ? ivec2(i / (DEPTH / 4) + v * (SIZE / 4), i % (DEPTH / 4) * 4)
                 : ivec2(i % (SIZE / 4) * 4, i / (SIZE / 4) * 4 + v);
}

/// Stores an operand's vectors, a square turned.
#define KEEP(tile, along_k, vectors, scaled) \
  { \
    ivec2 first_ = place(along_k, 0); \
    [[unroll]] for (int v_ = 0; v_ < VECTORS; v_++) { \
      vec4 turned_ = vec4(vectors[0][v_], vectors[1][v_], vectors[2][v_], vectors[3][v_]); \
      int row_ = along_k ? place(true, v_).x : first_.x + v_; \
      vec4 kept_ = along_k ? vectors[v_] : turned_; \
      tile[row_ * ROW + first_.y / 4] = scaled ? gradient_halves(kept_ * SCALE) : halves(kept_); \
    } \
  }

/// The tile of rows m0 ..< m_end and columns n0 ..< n_end of C; arguments as in matmul_tiles.glsl.
void tile(
    int a_start, int a_length, int b_start, int b_length, int m0, int m_end, int n0, int n_end, int k_begin, int k_end,
    int c_start, int bias_start) {
  int subgroup = int(gl_SubgroupID);
  int lane = int(gl_SubgroupInvocationID);
  int m_first = subgroup / SUBGROUPS_N * FRAGMENTS_M * MATRIX_M;
  int n_first = subgroup % SUBGROUPS_N * FRAGMENTS_N * MATRIX_N;

  // The rows of operands along K; of the others each step reads new ones.
  int a_rows[VECTORS], b_rows[VECTORS];
  [[unroll]] for (int v = 0; v < VECTORS; v++) {
    a_rows[v] = FORM == TN ? 0 : a_start + row_of_a(min(m0 + place(true, v).x, m_end - 1)) * a_length;
    b_rows[v] = FORM == NT ? b_start + min(n0 + place(true, v).x, n_end - 1) * b_length : 0;
  }

  SUM sums[FRAGMENTS_M][FRAGMENTS_N];
  [[unroll]] for (int i = 0; i < FRAGMENTS_M; i++)
    [[unroll]] for (int j = 0; j < FRAGMENTS_N; j++)
      sums[i][j] = SUM(0.0);

  vec4 a_next[VECTORS], b_next[VECTORS];
  for (int k0 = k_begin - DEPTH; k0 < k_end; k0 += DEPTH) {
    // The first pass only fetches, the last only multiplies.
    if (k0 >= k_begin) {
      KEEP(a_tile, FORM != TN, a_next, SCALED == 1)
      KEEP(b_tile, FORM == NT, b_next, SCALED == 2)
      barrier();
    }
    [[unroll]] for (int v = 0; v < VECTORS; v++) {
      ivec2 at = place(FORM != TN, v);
      int k = k0 + DEPTH + at.y;
      if (FORM == TN) {
        a_next[v] = vec4(0.0);
        if (k < k_end) a_next[v] = FETCH(a, ALIGNED_A, a_start + row_of_a(k) * a_length, m0 + at.x, a_length);
      } else {
        a_next[v] = FETCH(a, ALIGNED_A, a_rows[v], k, k_end);
      }
      at = place(FORM == NT, v);
      k = k0 + DEPTH + at.y;
      if (FORM == NT) {
        b_next[v] = FETCH(b, ALIGNED_B, b_rows[v], k, k_end);
      } else {
        b_next[v] = vec4(0.0);
        if (k < k_end) b_next[v] = FETCH(b, ALIGNED_B, b_start + row_of_b(k) * b_length, n0 + at.x, b_length);
      }
    }
    if (k0 >= k_begin) {
      [[unroll]] for (int k = 0; k < DEPTH; k += MATRIX_K) {
        LEFT x[FRAGMENTS_M];
        [[unroll]] for (int i = 0; i < FRAGMENTS_M; i++)
          coopMatLoadNV(x[i], a_tile, (m_first + i * MATRIX_M) * ROW + k / 4, ROW, false);
        [[unroll]] for (int j = 0; j < FRAGMENTS_N; j++) {
          RIGHT y;
          coopMatLoadNV(y, b_tile, (n_first + j * MATRIX_N) * ROW + k / 4, ROW, true);
          [[unroll]] for (int i = 0; i < FRAGMENTS_M; i++) sums[i][j] = coopMatMulAddNV(x[i], y, sums[i][j]);
        }
      }
      barrier();
    }
  }

  [[unroll]] for (int i = 0; i < FRAGMENTS_M; i++) {
    [[unroll]] for (int j = 0; j < FRAGMENTS_N; j++) {
      coopMatStoreNV(sums[i][j], patches, subgroup * PATCH, MATRIX_N / 4, false);
      subgroupBarrier();
      // Unrolled, so that the loops around it are, and sums stay in registers.
      [[unroll]] for (int first = 0; first < PATCH; first += LANES) {
        int v = first + lane;
        int m = m0 + m_first + i * MATRIX_M + v / (MATRIX_N / 4);
        int n = n0 + n_first + j * MATRIX_N + v % (MATRIX_N / 4) * 4;
        if (v < PATCH && m < m_end && n < n_end) {
          vec4 row = uintBitsToFloat(patches[subgroup * PATCH + v]);
          if (SCALED != 0) row /= SCALE;
          epilogue(c_start + m * n_end, n, n_end, vec4[1](row), vec4[1](bias_at(bias_start, n, n_end)));
        }
      }
      subgroupBarrier();
    }
  }
}
