#version 450
// y = softmax(q k^T scale) v for each (b, h), with the heads merged, and the logarithm of softmax's denominator; by matrix units.
//   qkv [B, T, 3, H, D], y [B, T, H, D], logsumexp [B, H, T]; any T, any D.
// Keys pass twice: first for the denominators, so that no sum in a matrix has to be scaled later, then for the sums.
// Groups: x tiles of OWN queries, y pairs (b, h).
#extension GL_GOOGLE_include_directive : require
#include "matrix_attention.glsl"
layout(binding = 0) readonly buffer QKV { vec4 qkv[]; };
layout(binding = 1) writeonly buffer Y { vec4 y[]; };
layout(binding = 2) writeonly buffer Logsumexp { float logsumexp[]; };

shared uvec2 q_tile[OWN * ROW];
shared uvec2 k_tile[STREAM * ROW];
shared uvec2 v_tile[STREAM * ROW];
shared uvec2 scores[OWN * SCORE_ROW];

void main() {
  LOAD_ROWS(q_tile, OWN, first_own(), qkv, qkv_row(0, token_), halves, 1.0)
  float peak = -3e38, total = 0.0;
  for (int j = 0; j < T; j += STREAM) {
    LOAD_ROWS(k_tile, STREAM, j, qkv, qkv_row(1, token_), halves, 1.0)
    barrier();
    MULTIPLY_ROWS(scores, q_tile, k_tile)
    barrier();
    float s[SHARE];
    float before = peak;
    [[unroll]] for (int i = 0; i < SHARE; i++) {
      s[i] = j + score_column() + i < T ? SCORE_PAIR(scores, i / 2)[i % 2] * scale : -3e38;
      peak = max(peak, s[i]);
    }
    peak = max_of_row(peak);
    total *= exp(before - peak);
    [[unroll]] for (int i = 0; i < SHARE; i++) total += j + score_column() + i < T ? exp(s[i] - peak) : 0.0;
  }
  float number = peak + log(sum_of_row(total));
  int token = first_own() + score_row();
  if (score_column() == 0 && token < T) logsumexp[pair() * T + token] = number;

  SUM sums[PRODUCTS_EACH];
  [[unroll]] for (int f = 0; f < PRODUCTS_EACH; f++) sums[f] = SUM(0.0);
  for (int j = 0; j < T; j += STREAM) {
    barrier();
    LOAD_ROWS(k_tile, STREAM, j, qkv, qkv_row(1, token_), halves, 1.0)
    LOAD_ROWS(v_tile, STREAM, j, qkv, qkv_row(2, token_), halves, 1.0)
    barrier();
    MULTIPLY_ROWS(scores, q_tile, k_tile)
    barrier();
    float p[SHARE];
    [[unroll]] for (int i = 0; i < SHARE; i++)
      p[i] = j + score_column() + i < T ? exp(SCORE_PAIR(scores, i / 2)[i % 2] * scale - number) : 0.0;
    barrier();
    [[unroll]] for (int i = 0; i < SHARE; i += 4)
      KEEP_SCORES(scores, i, halves(vec4(p[i], p[i + 1], p[i + 2], p[i + 3])))
    barrier();
    ADD_PRODUCTS(sums, scores, v_tile)
  }
  STORE_SUMS(sums, scores, y, merged_row(token_), 1.0)
}
