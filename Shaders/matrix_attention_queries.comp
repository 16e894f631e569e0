#version 450
// The gradient of attention with respect to q, and what the kernel for k and v needs of each query; by matrix units.
//   delta = sum_d dy y,  p = exp(scale q k^T - logsumexp),  ds = p (dy v^T - delta),  dq = scale ds k
//   qkv, dqkv [B, T, 3, H, D], y, dy [B, T, H, D], logsumexp [B, H, T], stats [B, H, T, (logsumexp, delta)]
// Gradients are multiplied by SCALE, and what comes of them divided by it.
// Groups: x tiles of OWN queries, y pairs (b, h).
#extension GL_GOOGLE_include_directive : require
#include "matrix_attention.glsl"
layout(binding = 0) readonly buffer QKV { vec4 qkv[]; };
layout(binding = 1) readonly buffer Y { vec4 y[]; };
layout(binding = 2) readonly buffer DY { vec4 dy[]; };
layout(binding = 3) readonly buffer Logsumexp { float logsumexp[]; };
layout(binding = 4) writeonly buffer DQKV { vec4 dqkv[]; };
layout(binding = 5) writeonly buffer Stats { vec2 stats[]; };

shared uvec2 q_tile[OWN * ROW];
shared uvec2 dy_tile[OWN * ROW];
shared uvec2 k_tile[STREAM * ROW];
shared uvec2 v_tile[STREAM * ROW];
shared uvec2 scores[OWN * SCORE_ROW];
shared uvec2 dp_scores[OWN * SCORE_ROW];

void main() {
  LOAD_ROWS(q_tile, OWN, first_own(), qkv, qkv_row(0, token_), halves, 1.0)
  LOAD_ROWS(dy_tile, OWN, first_own(), dy, merged_row(token_), gradient_halves, SCALE)
  int token = min(first_own() + score_row(), T - 1);
  float number = logsumexp[pair() * T + token];
  float delta = 0.0;
  for (int c = here() % SHARERS * 4; c < D; c += 4 * SHARERS)
    delta += dot(ROW4(dy, merged_row(token), c), ROW4(y, merged_row(token), c));
  delta = sum_of_row(delta);
  if (score_column() == 0 && first_own() + score_row() < T) stats[pair() * T + token] = vec2(number, delta);

  SUM sums[PRODUCTS_EACH];
  [[unroll]] for (int f = 0; f < PRODUCTS_EACH; f++) sums[f] = SUM(0.0);
  for (int j = 0; j < T; j += STREAM) {
    barrier();
    LOAD_ROWS(k_tile, STREAM, j, qkv, qkv_row(1, token_), halves, 1.0)
    LOAD_ROWS(v_tile, STREAM, j, qkv, qkv_row(2, token_), halves, 1.0)
    barrier();
    MULTIPLY_ROWS(scores, q_tile, k_tile)
    MULTIPLY_ROWS(dp_scores, dy_tile, v_tile)
    barrier();
    float ds[SHARE];
    [[unroll]] for (int i = 0; i < SHARE; i++) {
      float p = j + score_column() + i < T ? exp(SCORE_PAIR(scores, i / 2)[i % 2] * scale - number) : 0.0;
      ds[i] = p * (SCORE_PAIR(dp_scores, i / 2)[i % 2] - SCALE * delta);
    }
    barrier();
    [[unroll]] for (int i = 0; i < SHARE; i += 4)
      KEEP_SCORES(scores, i, gradient_halves(vec4(ds[i], ds[i + 1], ds[i + 2], ds[i + 3])))
    barrier();
    ADD_PRODUCTS(sums, scores, k_tile)
  }
  STORE_SUMS(sums, scores, dqkv, qkv_row(0, token_), scale / SCALE)
}
