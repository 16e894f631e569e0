// How subgroups lay a panel out (pack_panels.comp) whose operand is not along k. The includer includes lane_stores.glsl and declares
// WIDTH, RIGHT, the buffer y of spans, `Quad quad(int k)`, what is to be known of quad k, and `vec4[4] turned(int r, Quad quad)`: rows
// r ..< r + 4 there.
const int COLUMNS = WIDTH / int(LANES);
const int SPANS = WIDTH / 2;  // of a quad
const int HALF = int(LANES) / 2;

/// The part of `subgroup` in the panel of rows from `row` on, K4 quads long, that starts at span `panel`. A subgroup past the panel's
/// end moves back, and stores what another one does.
void store_turned(int panel, int row, int subgroup, int K4) {
  int lane = int(gl_SubgroupInvocationID);
  if (!RIGHT) {
    // Blocks of four rows x four k, two spans each.
    int first = min(subgroup * int(LANES), K4 * SPANS / 2 - int(LANES)), i = first + lane;
    uint to = panel + 2 * first, at = known_uniform(to);
    vec4 rows[4] = turned(row + i % (SPANS / 2) * 4, quad(i / (SPANS / 2)));
    STORE_LANES(y, at + 2 * lane_, wide(rows[0], rows[1]))
    STORE_LANES(y, at + 2 * lane_ + 1, wide(rows[2], rows[3]))
  } else {
    // Two such blocks of neighbouring lanes; half of the subgroup has the next ones, of the same quad or of the next.
    const int QUADS = COLUMNS / 4;
    int k = min(subgroup * (2 / QUADS), K4 - 2 / QUADS), side = lane / HALF;
    uint to = panel + k * SPANS, at = known_uniform(to);
    int r = row + lane % HALF * 2 * COLUMNS + side % QUADS * 4;
    Quad own = quad(k + side / QUADS);
    vec4 low[4] = turned(r, own), high[4] = turned(r + COLUMNS, own);
    [[unroll]] for (uint j = 0; j < 4; j++)
      STORE_LANES(
          y,
          at + lane_ / HALF / QUADS * SPANS + (lane_ / HALF % QUADS * 4 + j) * HALF + lane_ % HALF,
          wide(low[j], high[j]))
  }
}
