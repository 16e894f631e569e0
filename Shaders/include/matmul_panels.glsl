// A tile of C in the registers of one subgroup, ROWS rows x 4 SPAN CLUSTER columns, one span of a row per lane, over operands
// that pack_panels laid out or that are read as they are. N is a multiple of 4 SPAN.
//
// The includer includes span.glsl and declares CLUSTER, A_ORDER, B_ORDER, the image buffers a and b (their loads are inlined, fetches
// of texture buffers are calls), and where A is not PACKED the rows that it is really stored in: `int row_of_a(int)`.
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "epilogue.glsl"
#ifdef WIDE
#include "lane_stores.glsl"
#endif

layout(constant_id = 10) const int ROWS = 16;    // a multiple of AT_ONCE and of 4
layout(constant_id = 12) const int AT_ONCE = 1;  // rows that a read of B serves
layout(constant_id = 13) const bool BY_LANES = false;  // stores lane by lane, in the wide form
layout(constant_id = 14) const uint VECTORS = 1;  // of a lane's columns; a span, but where BY_LANES
const int COLUMNS = 4 * int(VECTORS);    // of a lane
const int WIDTH = COLUMNS * int(CLUSTER);
const int A_VECTORS = (ROWS + int(CLUSTER) - 1) / int(CLUSTER);

// How an operand lies in memory.
const uint PACKED = 0;   // in the order of pack_panels
const uint ALONG_K = 1;  // A [M, 4 K4], B [N, 4 K4]
const uint ACROSS = 2;   // B [4 K4, N]

vec4 sums[ROWS][VECTORS];

/// Sums quads k ..< k + count of row tile `tile` and of column tile `column_tile` of the matrix `matrix` of B, whose rows or columns
/// are `columns`; operands are K4 quads long.
/// - m0, m_end: rows of A, where it is not packed; rows from m_end on are garbage.
void accumulate(int tile, int m0, int m_end, int matrix, int column_tile, int columns, int K4, int k, int count) {
  int lane = int(gl_SubgroupInvocationID);
  int a_at[A_VECTORS];
  [[unroll]] for (int q = 0; q < A_VECTORS; q++) {
    int row = min(lane + int(CLUSTER) * q, ROWS - 1);
    a_at[q] = A_ORDER == PACKED ? (tile * K4 + k) * ROWS + row : row_of_a(min(m0 + row, m_end - 1)) * K4 + k;
  }
  int n = min(column_tile * WIDTH + lane * COLUMNS, columns - COLUMNS);
  // Where the lane's vectors of the first step lie, how far apart, and how far it is to the next step.
  int b_at, b_apart, b_step;
  if (B_ORDER == PACKED) {
    int panels = (columns + WIDTH - 1) / WIDTH;
    b_at = ((matrix * panels + column_tile) * K4 + k) * WIDTH + lane;
    b_apart = int(CLUSTER);
    b_step = WIDTH;
  } else if (B_ORDER == ALONG_K) {
    b_at = (matrix * columns + n) * K4 + k;
    b_apart = K4;
    b_step = 1;
  } else {
    b_at = ((matrix * K4 + k) * columns * 4 + n) / 4;
    b_apart = columns / 4;
    b_step = columns;
  }
  [[unroll]] for (int i = 0; i < ROWS; i++)
    [[unroll]] for (int v = 0; v < VECTORS; v++) sums[i][v] = vec4(0.0);

  int along_a = 0;
  for (int step = 0; step < count; step++) {
    vec4 a_part[A_VECTORS];
    vec4 b_part[COLUMNS];
    [[unroll]] for (int q = 0; q < A_VECTORS; q++) a_part[q] = imageLoad(a, a_at[q] + along_a);
    // ACROSS: a span for each k, else the four k of each column.
    [[unroll]] for (int j = 0; j < COLUMNS; j++)
      b_part[j] = imageLoad(b, b_at + (B_ORDER == ACROSS ? j / int(VECTORS) * b_apart + j % int(VECTORS) : j * b_apart));
    along_a += A_ORDER == PACKED ? ROWS : 1;
    b_at += b_step;
    [[unroll]] for (int i = 0; i < ROWS; i += AT_ONCE) {
      vec4 x[AT_ONCE];
      [[unroll]] for (int r = 0; r < AT_ONCE; r++)
        [[unroll]] for (int t = 0; t < 4; t++)
          x[r][t] = subgroupShuffle(a_part[(i + r) / CLUSTER][t], (i + r) % CLUSTER);
      [[unroll]] for (int j = 0; j < COLUMNS; j++)
        [[unroll]] for (int r = 0; r < AT_ONCE; r++) {
          vec4 y;
          [[unroll]] for (int t = 0; t < 4; t++)
            y[t] = B_ORDER == ACROSS ? b_part[t * int(VECTORS) + j / 4][j % 4] : b_part[j][t];
          sums[i + r][j / 4][j % 4] += (x[r][0] * y[0] + x[r][1] * y[1]) + (x[r][2] * y[2] + x[r][3] * y[3]);
        }
    }
  }
}

#define STORE_TILE_ROW(buffer) \
  if (VECTORS == SPAN) STORE_LANES(buffer, lane_ < known_lanes ? row_at + lane_ : NOWHERE, span(row)) \
  else STORE_LANE_PAIRS(buffer, lane_ < known_lanes ? row_at + lane_ / 2 : NOWHERE, span(row))

/// Hands the sums of column tile `tile` to the epilogue, which has no activation; C's rows are `columns` long, the matrix starts at
/// element c_start, its bias at bias_start.
void finish(int c_start, int bias_start, int m0, int m_end, int tile, int columns) {
  int n = tile * WIDTH + int(gl_SubgroupInvocationID) * COLUMNS;
  vec4 bias_values[SPAN];
  [[unroll]] for (int v = 0; v < SPAN; v++)
    bias_values[v] = bias_at(bias_start, min(n, columns - COLUMNS) + 4 * v, columns);
#ifdef WIDE
  uint at = (c_start + m0 * columns + tile * WIDTH) >> 3, known_at = known_uniform(at);
  uint rows = clamp(m_end - m0, 0, ROWS), known_rows = known_digit(rows);
  uint lanes = clamp((columns - tile * WIDTH) / COLUMNS, 0, int(CLUSTER)), known_lanes = known_digit(lanes);
#endif
  [[unroll]] for (int i = 0; i < ROWS; i++) {
    // A choice that changes nothing: a sum that is packed into 64-bit integers (wide.glsl) straight from the loop is kept there in a
    // register of 512 bits, whatever the width of vectors, where the processor has those. That is a fifth of the loop's time.
    vec4 row[SPAN];
    [[unroll]] for (int v = 0; v < SPAN; v++) row[v] = n < columns ? sums[i][min(v, VECTORS - 1)] : vec4(0.0);
#ifdef WIDE
    if (BY_LANES) {
      uint row_at = i < known_rows ? known_at + i * (columns >> 3) : NOWHERE;
      if (HAS_BIAS) {
        [[unroll]] for (uint v = 0; v < SPAN; v++) row[v] += bias_values[v];
      }
      if (STORES_PRE) STORE_TILE_ROW(pre)
      [[unroll]] for (uint v = 0; v < SPAN; v++)
        row[v] = finished(c_start + min(m0 + i, m_end - 1) * columns, min(n, columns - COLUMNS) + 4 * int(v), columns, row[v]);
      STORE_TILE_ROW(c)
      continue;
    }
#endif
    if (m0 + i < m_end && n < columns) epilogue(c_start + (m0 + i) * columns, n, columns, row, bias_values);
  }
}
