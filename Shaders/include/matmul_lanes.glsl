// A tile of C = op(A) op(B) in the registers of one cluster of lanes: ROWS rows x 4 CLUSTER VECTORS columns.
//
// Operands are read as texels, four elements along the contiguous axis at a time; a lane holds its share of A, and
// subgroupShuffle hands it to the whole cluster. No shared memory, no barrier. Software drivers compile this to
// straight-line vector code; on a GPU it is correct and moderate, and matmul_tiles.comp is the choice.
//   NN: A [M, K], B [K, N]    NT: A [M, K], B [N, K]    TN: A [K, M], B [K, N]
//
// The includer declares a, b, and the rows they are really stored in: `int row_of_a(int)`, `int row_of_b(int)`; and
// COLUMN_TILE, if that is not the group's y.
#extension GL_EXT_control_flow_attributes : require
#include "cluster.glsl"
#include "epilogue.glsl"

const uint NN = 0, NT = 1, TN = 2;

layout(constant_id = 2) const bool WHOLE_SUBGROUP = true;  // CLUSTER is the subgroup: lanes are named by literals
layout(constant_id = 3) const uint ROWS = 32;
layout(constant_id = 4) const uint VECTORS = 2;
layout(constant_id = 5) const uint FORM = NN;
layout(constant_id = 6) const bool ALIGNED_A = true;  // rows of A are whole vectors, see fetch4.glsl
layout(constant_id = 7) const bool ALIGNED_B = true;

/// Vectors of A that a lane holds: for one k in form TN, for four k otherwise.
const uint A_VECTORS = FORM == TN ? (ROWS + 4 * CLUSTER - 1) / (4 * CLUSTER) : (ROWS + CLUSTER - 1) / CLUSTER;

vec4 sums[ROWS][VECTORS];

float from_lane(float x, uint first, uint lane) {
  return WHOLE_SUBGROUP ? subgroupShuffle(x, lane) : subgroupShuffle(x, first + lane);
}

/// Which row tile this cluster owns. Row tiles go along x, so that groups that follow each other read the same columns of
/// B: a CPU core keeps them in its cache.
int tile_index() { return int(gl_WorkGroupID.x * (gl_WorkGroupSize.x / CLUSTER) + cluster_index()); }

#ifndef COLUMN_TILE
#define COLUMN_TILE gl_WorkGroupID.y
#endif

/// This lane's first column of the tile; its VECTORS vectors lie 4 CLUSTER columns apart.
int first_column() { return int((COLUMN_TILE * CLUSTER * VECTORS + cluster_lane()) * 4); }

/// Sums over k_begin ..< k_end, of rows m0 ..< m0 + ROWS. Rows from m_end and columns from `columns` on are garbage.
/// - a_start, b_start: first element of the matrices; a_length, b_length: their contiguous extents.
void accumulate(int a_start, int a_length, int b_start, int b_length, int m0, int m_end, int columns, int k_begin, int k_end) {
  int lane = int(cluster_lane());
  uint first = gl_SubgroupInvocationID - lane;
  int n0 = first_column();

  int a_at[A_VECTORS];
  [[unroll]] for (int q = 0; q < A_VECTORS; q++) {
    int m = FORM == TN ? m0 + 4 * (lane + int(CLUSTER) * q) : min(m0 + lane + int(CLUSTER) * q, m_end - 1);
    if (FORM == TN) a_at[q] = ALIGNED_A ? min(m, a_length - 4) : m;
    else a_at[q] = a_start + row_of_a(m) * a_length;
  }
  int b_at[VECTORS][4];
  [[unroll]] for (int v = 0; v < VECTORS; v++) {
    int n = n0 + 4 * int(CLUSTER) * v;
    [[unroll]] for (int j = 0; j < 4; j++) {
      if (FORM == NT) b_at[v][j] = b_start + min(n + j, columns - 1) * b_length;
      else b_at[v][j] = ALIGNED_B ? min(n, b_length - 4) : n;
    }
  }
  [[unroll]] for (int i = 0; i < ROWS; i++)
    [[unroll]] for (int v = 0; v < VECTORS; v++) sums[i][v] = vec4(0.0);

  for (int k = k_begin; k < k_end; k += 4) {
    vec4 a_part[4 * A_VECTORS];
    vec4 b_part[4][VECTORS];
    if (FORM == TN) {
      [[unroll]] for (int t = 0; t < 4; t++) {
        int start = a_start + row_of_a(min(k + t, k_end - 1)) * a_length;
        [[unroll]] for (int q = 0; q < A_VECTORS; q++) {
          vec4 x = fetch4(a, ALIGNED_A, start, a_at[q], a_length);
          a_part[4 * q + t] = k + t < k_end ? x : vec4(0.0);
        }
      }
    } else {
      [[unroll]] for (int q = 0; q < A_VECTORS; q++) a_part[q] = fetch4(a, ALIGNED_A, a_at[q], k, a_length);
    }
    if (FORM == NT) {
      [[unroll]] for (int v = 0; v < VECTORS; v++) {
        vec4 x[4];
        [[unroll]] for (int j = 0; j < 4; j++) x[j] = fetch4(b, ALIGNED_B, b_at[v][j], k, b_length);
        [[unroll]] for (int t = 0; t < 4; t++) b_part[t][v] = vec4(x[0][t], x[1][t], x[2][t], x[3][t]);
      }
    } else {
      [[unroll]] for (int t = 0; t < 4; t++) {
        int start = b_start + row_of_b(min(k + t, k_end - 1)) * b_length;
        [[unroll]] for (int v = 0; v < VECTORS; v++) b_part[t][v] = fetch4(b, ALIGNED_B, start, b_at[v][0], b_length);
      }
    }
    // Row by row, so that a row's sums stay in registers over the four k.
    [[unroll]] for (int i = 0; i < ROWS; i++) {
      float x[4];
      [[unroll]] for (int t = 0; t < 4; t++) {
        if (FORM == TN) x[t] = from_lane(a_part[i / (4 * CLUSTER) * 4 + t][i % 4], first, i / 4 % CLUSTER);
        else x[t] = from_lane(a_part[i / CLUSTER][t], first, i % CLUSTER);
      }
      [[unroll]] for (int v = 0; v < VECTORS; v++)
        [[unroll]] for (int t = 0; t < 4; t++) sums[i][v] += x[t] * b_part[t][v];
    }
  }
}

/// Hands the sums to the epilogue; C's rows are `columns` long, the matrix starts at element c_start, its bias at bias_start.
///
/// Where the epilogue is long it is a loop over rows, each picked from registers by comparison: unrolled, its code would be
/// tens of kilobytes that no instruction cache holds, and an array indexed by the loop would take `sums` out of the registers.
void finish(int c_start, int bias_start, int m0, int m_end, int columns) {
  int n0 = first_column();
  vec4 bias_values[VECTORS];
  [[unroll]] for (int v = 0; v < VECTORS; v++) {
    int n = n0 + 4 * int(CLUSTER) * v;
    bias_values[v] = bias_at(bias_start, ALIGNED_C ? min(n, columns - 4) : n, columns);
  }
  if (ALIGNED_C && ACTIVATION == 0 && ROWS <= 16) {
    [[unroll]] for (int i = 0; i < ROWS; i++)
      [[unroll]] for (int v = 0; v < VECTORS; v++) {
        int n = n0 + 4 * int(CLUSTER) * v;
        if (m0 + i < m_end && n < columns) epilogue(c_start + (m0 + i) * columns, n, columns, vec4[1](sums[i][v]), vec4[1](bias_values[v]));
      }
  } else {
    [[dont_unroll]] for (int i = 0; i < ROWS; i++) {
      [[unroll]] for (int v = 0; v < VECTORS; v++) {
        vec4 row = sums[0][v];
        [[unroll]] for (int j = 1; j < ROWS; j++) row = i == j ? sums[j][v] : row;
        int n = n0 + 4 * int(CLUSTER) * v;
        if (m0 + i < m_end && n < columns) epilogue(c_start + (m0 + i) * columns, n, columns, vec4[1](row), vec4[1](bias_values[v]));
      }
    }
  }
}
