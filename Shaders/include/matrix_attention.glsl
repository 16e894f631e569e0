// Attention by matrix units: what its three kernels share. A workgroup of 128 owns OWN tokens of one (b, h); the others stream past,
// STREAM at a time. Rows of tokens lie in shared memory as f16; scores leave the units as f32, since nobody but the driver knows which lane
// holds which, are read by the lanes that own their rows, and return as f16.
//
// The includer binds `qkv`, vectors of four f32; D need not be a multiple of 4.
#include "matrix_unit.glsl"
#extension GL_KHR_shader_subgroup_shuffle : require
#include "buffer4.glsl"
#include "store4.glsl"
layout(local_size_x = 128) in;
layout(constant_id = 5) const int D = 64;
layout(constant_id = 6) const int OWN = 64;  // a multiple of MATRIX_M
layout(push_constant) uniform Push {
  int T;
  int H;
  float scale;
};

const int STREAM = 32;  // MATRIX_N and MATRIX_K divide it
const int LANES = 128 / SUBGROUPS;
// Columns of a row with the zeros that fill the units' matrices, and its vectors of four f16, with two of padding.
const int EXTENT = MATRIX_K > MATRIX_N ? MATRIX_K : MATRIX_N;
const int COLUMNS = (D + EXTENT - 1) / EXTENT * EXTENT;
const int ROW = COLUMNS / 4 + 2;
// Of STREAM scores: as f32 two in a uvec2, as f16 four.
const int SCORE_ROW = STREAM / 2 + 2;
// Lanes that share a row of scores, and how many scores each has.
const int SHARERS = 128 / OWN;
const int SHARE = STREAM / SHARERS;
const int SCORES = (OWN / MATRIX_M) * (STREAM / MATRIX_N);    // matrices
const int PRODUCTS = (OWN / MATRIX_M) * (COLUMNS / MATRIX_N);
const int SCORES_EACH = (SCORES + SUBGROUPS - 1) / SUBGROUPS;  // of a subgroup
const int PRODUCTS_EACH = (PRODUCTS + SUBGROUPS - 1) / SUBGROUPS;

int subgroup() { return int(gl_SubgroupID); }
/// Among the workgroup's invocations; neighbours are of one subgroup.
int here() { return subgroup() * LANES + int(gl_SubgroupInvocationID); }
int pair() { return int(gl_WorkGroupID.y); }
int first_own() { return int(gl_WorkGroupID.x) * OWN; }
/// Where the row of q (0), k (1) or v (2) of a token begins in qkv, and that of its row in y.
int qkv_row(int part, int token) { return ((pair() / H * T + token) * 3 + part) * H * D + pair() % H * D; }
int merged_row(int token) { return (pair() / H * T + token) * H * D + pair() % H * D; }
/// The row of scores of an invocation, and its first column.
int score_row() { return here() / SHARERS; }
int score_column() { return here() % SHARERS * SHARE; }

/// Elements c ..< c + 4 of the row of D that begins at `start`; zeros past its end.
#define ROW4(buffer, start, c) FETCH(buffer, D % 4 == 0, start, c, D)

/// Loads `rows` tokens from `first` on into a tile; `begin` is where the row of `token_` begins in `buffer`. Zeros from T on.
#define LOAD_ROWS(tile, rows, first, buffer, begin, as_halves, factor) \
  [[unroll]] for (int at_ = 0; at_ < (rows) * (COLUMNS / 4); at_ += 128) { \
    int place_ = at_ + here(), row_ = place_ / (COLUMNS / 4), vector_ = place_ % (COLUMNS / 4); \
    int token_ = min((first) + row_, T - 1); \
    if (place_ < (rows) * (COLUMNS / 4)) { \
      vec4 value_ = (first) + row_ < T ? ROW4(buffer, begin, 4 * vector_) * (factor) : vec4(0.0); \
      tile[row_ * ROW + vector_] = as_halves(value_); \
    } \
  }

/// scores = own stream^T, f32.
#define MULTIPLY_ROWS(scores, own, stream) \
  [[unroll]] for (int f_ = 0; f_ < SCORES_EACH; f_++) { \
    int at_ = f_ * SUBGROUPS + subgroup(); \
    if (at_ < SCORES) { \
      int m_ = at_ / (STREAM / MATRIX_N) * MATRIX_M, n_ = at_ % (STREAM / MATRIX_N) * MATRIX_N; \
      SUM sum_ = SUM(0.0); \
      [[unroll]] for (int k_ = 0; k_ < COLUMNS; k_ += MATRIX_K) { \
        LEFT x_; \
        RIGHT y_; \
        coopMatLoadNV(x_, own, m_ * ROW + k_ / 4, ROW, false); \
        coopMatLoadNV(y_, stream, n_ * ROW + k_ / 4, ROW, true); \
        sum_ = coopMatMulAddNV(x_, y_, sum_); \
      } \
      coopMatStoreNV(sum_, scores, m_ * SCORE_ROW + n_ / 2, SCORE_ROW, false); \
    } \
  }

/// sums += scores stream, the scores as f16.
#define ADD_PRODUCTS(sums, scores, stream) \
  [[unroll]] for (int f_ = 0; f_ < PRODUCTS_EACH; f_++) { \
    int at_ = f_ * SUBGROUPS + subgroup(); \
    if (at_ < PRODUCTS) { \
      int m_ = at_ / (COLUMNS / MATRIX_N) * MATRIX_M, n_ = at_ % (COLUMNS / MATRIX_N) * MATRIX_N; \
      [[unroll]] for (int k_ = 0; k_ < STREAM; k_ += MATRIX_K) { \
        LEFT x_; \
        RIGHT y_; \
        coopMatLoadNV(x_, scores, m_ * SCORE_ROW + k_ / 4, SCORE_ROW, false); \
        coopMatLoadNV(y_, stream, k_ * ROW + n_ / 4, ROW, false); \
        sums[f_] = coopMatMulAddNV(x_, y_, sums[f_]); \
      } \
    } \
  }

/// Stores sums times `factor` in the rows of `buffer` that begin at `begin` for `token_`, through the memory of `scores`.
#define STORE_SUMS(sums, scores, buffer, begin, factor) \
  [[unroll]] for (int f_ = 0; f_ < PRODUCTS_EACH; f_++) { \
    int at_ = f_ * SUBGROUPS + subgroup(), patch_ = subgroup() * (MATRIX_M * MATRIX_N / 2); \
    barrier(); \
    if (at_ < PRODUCTS) coopMatStoreNV(sums[f_], scores, patch_, MATRIX_N / 2, false); \
    barrier(); \
    [[unroll]] for (int v_ = 0; v_ < MATRIX_M * MATRIX_N / 4; v_ += LANES) { \
      int vector_ = v_ + int(gl_SubgroupInvocationID); \
      int token_ = first_own() + at_ / (COLUMNS / MATRIX_N) * MATRIX_M + vector_ / (MATRIX_N / 4); \
      int c_ = at_ % (COLUMNS / MATRIX_N) * MATRIX_N + vector_ % (MATRIX_N / 4) * 4; \
      if (at_ < PRODUCTS && vector_ < MATRIX_M * MATRIX_N / 4 && token_ < T && c_ < D) { \
        vec4 value_ = vec4( \
            uintBitsToFloat(scores[patch_ + 2 * vector_]), uintBitsToFloat(scores[patch_ + 2 * vector_ + 1])); \
        value_ *= factor; \
        STORE4(buffer, begin, c_, D, value_) \
      } \
    } \
  }

/// Two neighbouring scores of an invocation, 2 s ..< 2 s + 2 of its share.
#define SCORE_PAIR(scores, s) uintBitsToFloat(scores[score_row() * SCORE_ROW + score_column() / 2 + (s)])

/// Keeps four of an invocation's scores as f16.
#define KEEP_SCORES(scores, s, value) scores[score_row() * SCORE_ROW + score_column() / 4 + (s) / 4] = value;

/// Over the lanes that share a row.
float max_of_row(float x) {
  [[unroll]] for (int other = 1; other < SHARERS; other *= 2) x = max(x, subgroupShuffleXor(x, other));
  return x;
}
float sum_of_row(float x) {
  [[unroll]] for (int other = 1; other < SHARERS; other *= 2) x += subgroupShuffleXor(x, other);
  return x;
}
