#version 450
// Lays one operand of a product out in the order in which matmul_panels reads it: panels of WIDTH rows of op(X) [R, K],
// [R / WIDTH up][K4][WIDTH] vectors of four k, zeros from K on; places past R hold copies or zeros.
//   ALONG_K: X is [R, K], else [K, R]. Group z packs matrix z of several, stored one after another.
// Within a panel rows keep their order where LANES is 0 (left operands); otherwise entry p LANES + l is row COLUMNS l + p, COLUMNS being
// WIDTH / LANES, 4 or 8, so that as many fetches bring a lane neighbouring columns of C (right operands).
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "fetch4.glsl"
#include "linear.glsl"
#include "wide.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const bool ALONG_K = true;
layout(constant_id = 1) const bool ALIGNED = true;  // rows of X are whole vectors, see fetch4.glsl
layout(constant_id = 2) const int WIDTH = 16;
layout(constant_id = 3) const int LANES = 0;
const int COLUMNS = WIDTH / (LANES == 0 ? 1 : LANES);
layout(binding = 0) uniform textureBuffer x;
layout(binding = 1) writeonly buffer Y { u64vec4 y[]; };  // two entries each
layout(push_constant) uniform Push {
  int R;
  int K;
  int K4;
};

int panels() { return (R + WIDTH - 1) / WIDTH; }
int first_element() { return int(gl_WorkGroupID.z) * R * K; }
/// Where entry 0 of a panel at quad k lies.
int entry(int panel, int k) { return ((int(gl_WorkGroupID.z) * panels() + panel) * K4 + k) * WIDTH; }

/// Rows r ..< r + 4 of op(X) at quad k, from [K, R].
vec4[4] turned(int r, int k) {
  vec4 part[4];
  [[unroll]] for (int t = 0; t < 4; t++) {
    vec4 value = fetch4(x, ALIGNED, first_element() + min(4 * k + t, K - 1) * R, ALIGNED ? min(r, R - 4) : r, R);
    part[t] = 4 * k + t < K ? value : vec4(0.0);
  }
  vec4 rows[4];
  [[unroll]] for (int j = 0; j < 4; j++) rows[j] = vec4(part[0][j], part[1][j], part[2][j], part[3][j]);
  return rows;
}

void main() {
  int i = int(linear_index());
  if (ALONG_K) {
    // Two neighbouring entries, four quads of each, which share a cache line of X.
    int blocks = (K4 + 3) / 4;
    int e = i % (WIDTH / 2) * 2, k = i / (WIDTH / 2) % blocks * 4, panel = i / (WIDTH / 2) / blocks;
    if (panel < panels()) {
      int row = panel * WIDTH + (LANES == 0 ? e : e % LANES * COLUMNS + e / LANES);
      int low = first_element() + min(row, R - 1) * K;
      int high = first_element() + min(row + (LANES == 0 ? 1 : COLUMNS), R - 1) * K;
      int to = entry(panel, k) + e;
      [[unroll]] for (int j = 0; j < 4; j++) {
        int at = min(k + j, K4 - 1) * 4;
        u64vec4 value = wide(fetch4(x, ALIGNED, low, at, K), fetch4(x, ALIGNED, high, at, K));
        if (k + j < K4) y[(to + j * WIDTH) >> 1] = value;
      }
    }
  } else if (LANES == 0) {
    // A block of four rows x four k.
    int r = i % (WIDTH / 4) * 4, k = i / (WIDTH / 4) % K4, panel = i / (WIDTH / 4) / K4;
    if (panel < panels()) {
      vec4 rows[4] = turned(panel * WIDTH + r, k);
      [[unroll]] for (int j = 0; j < 4; j += 2) y[(entry(panel, k) + r + j) >> 1] = wide(rows[j], rows[j + 1]);
    }
  } else {
    // Two such blocks, of neighbouring lanes.
    const int QUADS = COLUMNS / 4;
    int r = i % QUADS * 4, l = i / QUADS % (LANES / 2) * 2, k = i / (WIDTH / 8) % K4, panel = i / (WIDTH / 8) / K4;
    if (panel < panels()) {
      vec4 low[4] = turned(panel * WIDTH + COLUMNS * l + r, k);
      vec4 high[4] = turned(panel * WIDTH + COLUMNS * (l + 1) + r, k);
      [[unroll]] for (int j = 0; j < 4; j++) y[(entry(panel, k) + (r + j) * LANES + l) >> 1] = wide(low[j], high[j]);
    }
  }
}
