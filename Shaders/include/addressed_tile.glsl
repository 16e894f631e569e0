// A tile of C in the registers of one subgroup, ROWS rows x WIDTH columns, over operands that are read as they lie, by address: a number
// of A is the same for all lanes, and of a row of B neighbouring lanes have neighbouring columns, so that what the compiler makes of the
// loop is what a person would write. For drivers that load once what all lanes read alike, in loops, too (`DeviceTraits.loadsOnceInLoops`).
//
// What is read down its columns may lie in panels of them (column_panels.comp): rows of a matrix that are far apart want the same lines of
// the first-level cache, and each is another page.
//
// The includer declares the buffers c and pre of spans, the push constants bias_address and residual_address, and gives
//   NUMBER(r, k)  of A for row r of the tile and product `at` + k of a sum,
//   ROW(k)        of B for it, as Floats, from the tile's first column on.
#extension GL_EXT_control_flow_attributes : require
#include "lane_loads.glsl"

layout(constant_id = 10) const int ROWS = 6;
layout(constant_id = 11) const int WIDTH = 16;  // 4 LANES at the most, and, as rows of C, a multiple of 8 but where BROADCASTS
layout(constant_id = 12) const int DEPTH = 8;  // products of a turn
layout(constant_id = 13) const int A_PANEL = 0;  // columns of a panel of A; 0 where it is read as it lies
layout(constant_id = 14) const bool B_PANELS = false;
layout(constant_id = 21) const bool HAS_BIAS = false;
layout(constant_id = 22) const bool STORES_PRE = false;
layout(constant_id = 24) const bool HAS_RESIDUAL = false;
const int B_WIDTH = (WIDTH + 7) / 8 * 8;  // of a panel of B
const int VECTORS = (WIDTH + int(LANES) - 1) / int(LANES);

vec4 sums[ROWS][1];

/// Where number (0, column) of tile `tile` begins in the panels of A, of B: of `depth` rows each.
int in_a_panels(int tile, int column, int columns, int depth) {
  return tile * depth * A_PANEL + column - min(tile * ROWS, columns - A_PANEL);
}
int in_b_panels(int tile, int depth) { return tile * depth * B_WIDTH; }

#define CLEAR_SUMS [[unroll]] for (int r_ = 0; r_ < ROWS; r_++) sums[r_][0] = vec4(0.0);

const int FEW = DEPTH > 4 ? 4 : 1;  // products of a turn for what turns of DEPTH leave over

/// Adds products `next` ..< `end` of sums that have `length`, DEPTH or more: a turn's end is dear, since the driver chooses between each
/// sum's old and new value there.
#define ADD_ALL_PRODUCTS(next, end, length) \
  TURNS(DEPTH, next, end, length) TURNS(FEW, next, end, length) TURNS(1, next, end, length)

/// Turns of `depth` products while as many are left. A driver may compute a turn that no lane takes: places stay inside.
#define TURNS(depth, next, end, length) for (; next + (depth) <= end; next += (depth)) { \
  int at = min(next, length - (depth)); \
  ADD_PRODUCTS(depth) \
}

/// Adds `depth` products, a constant.
#define ADD_PRODUCTS(depth) [[unroll]] for (int k_ = 0; k_ < (depth); k_++) { \
  vec4 y_ = held4(ROW(k_), WIDTH); \
  [[unroll]] for (int r_ = 0; r_ < ROWS; r_++) { \
    float x_ = NUMBER(r_, k_); \
    [[unroll]] for (int c_ = 0; c_ < VECTORS; c_++) sums[r_][0][c_] = fma(x_, y_[c_], sums[r_][0][c_]); \
  } \
}

/// Stores the first `rows` rows of the tile, whose first number is element `start` of C and column `column` of the bias from element
/// `bias_start` on; rows of C are `columns` long.
#define FINISH(start, rows, bias_start, column, columns) { \
  vec4 bias_ = HAS_BIAS ? held4(bias_address, uint((bias_start) + (column)), WIDTH) : vec4(0.0); \
  [[unroll]] for (int r_ = 0; r_ < ROWS; r_++) { \
    int row_start_ = (start) + r_ * (columns); \
    uint first_ = r_ < (rows) ? uint(row_start_) : 8 * NOWHERE; \
    sums[r_][0] += bias_; \
    if (STORES_PRE) STORE_ELEMENTS(pre, first_, WIDTH, sums[r_]) \
    if (HAS_RESIDUAL) \
      sums[r_][0] += held4(residual_address, uint(r_ < (rows) ? row_start_ : (start)), WIDTH); \
    STORE_ELEMENTS(c, first_, WIDTH, sums[r_]) \
  } \
}
