#version 450
// The gradient of attention with respect to k and v; by matrix units.
//   p = exp(scale q k^T - logsumexp),  ds = p (dy v^T - delta),  dk = scale ds^T q,  dv = p^T dy
//   qkv, dqkv [B, T, 3, H, D], dy [B, T, H, D], stats [B, H, T, (logsumexp, delta)]
// Gradients are multiplied by SCALE, and what comes of them divided by it. Rows of scores are keys here.
// Groups: x tiles of OWN keys, y pairs (b, h).
#extension GL_GOOGLE_include_directive : require
#include "matrix_attention.glsl"
layout(binding = 0) readonly buffer QKV { vec4 qkv[]; };
layout(binding = 1) readonly buffer DY { vec4 dy[]; };
layout(binding = 2) readonly buffer Stats { vec2 stats[]; };
layout(binding = 3) writeonly buffer DQKV { vec4 dqkv[]; };

shared uvec2 k_tile[OWN * ROW];
shared uvec2 v_tile[OWN * ROW];
shared uvec2 q_tile[STREAM * ROW];
shared uvec2 dy_tile[STREAM * ROW];
shared uvec2 scores[OWN * SCORE_ROW];
shared uvec2 dp_scores[OWN * SCORE_ROW];

void main() {
  LOAD_ROWS(k_tile, OWN, first_own(), qkv, qkv_row(1, token_), halves, 1.0)
  LOAD_ROWS(v_tile, OWN, first_own(), qkv, qkv_row(2, token_), halves, 1.0)
  SUM dk[PRODUCTS_EACH], dv[PRODUCTS_EACH];
  [[unroll]] for (int f = 0; f < PRODUCTS_EACH; f++) dk[f] = dv[f] = SUM(0.0);
  for (int i0 = 0; i0 < T; i0 += STREAM) {
    barrier();
    LOAD_ROWS(q_tile, STREAM, i0, qkv, qkv_row(0, token_), halves, 1.0)
    LOAD_ROWS(dy_tile, STREAM, i0, dy, merged_row(token_), gradient_halves, SCALE)
    barrier();
    MULTIPLY_ROWS(scores, k_tile, q_tile)
    MULTIPLY_ROWS(dp_scores, v_tile, dy_tile)
    barrier();
    float p[SHARE], ds[SHARE];
    [[unroll]] for (int i = 0; i < SHARE; i++) {
      int query = i0 + score_column() + i;
      vec2 stat = stats[pair() * T + min(query, T - 1)];
      p[i] = query < T ? exp(SCORE_PAIR(scores, i / 2)[i % 2] * scale - stat.x) : 0.0;
      ds[i] = p[i] * (SCORE_PAIR(dp_scores, i / 2)[i % 2] - SCALE * stat.y);
    }
    barrier();
    [[unroll]] for (int i = 0; i < SHARE; i += 4) {
      KEEP_SCORES(scores, i, halves(vec4(p[i], p[i + 1], p[i + 2], p[i + 3])))
      KEEP_SCORES(dp_scores, i, gradient_halves(vec4(ds[i], ds[i + 1], ds[i + 2], ds[i + 3])))
    }
    barrier();
    ADD_PRODUCTS(dv, scores, dy_tile)
    ADD_PRODUCTS(dk, dp_scores, q_tile)
  }
  STORE_SUMS(dk, scores, dqkv, qkv_row(1, token_), scale / SCALE)
  STORE_SUMS(dv, scores, dqkv, qkv_row(2, token_), 1.0 / SCALE)
}
