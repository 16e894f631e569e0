#version 450
// y = softmax(q k^T scale) v for each (b, h), with the heads merged, and the logarithm of softmax's denominator.
//   qkv [B, T, 3, H, D], y [B, T, H, D], logsumexp [B, H, T]; any T, any D.
// A lane owns queries; keys stream past. The softmax is online (Milakov and Gimelshein 2018): sums so far are rescaled
// when a step raises the maximum.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "span.glsl"
#include "attention.glsl"
layout(binding = 0, rgba32f) uniform readonly imageBuffer qkv;
layout(binding = 1) writeonly buffer Y { Span y[]; };
layout(binding = 2) writeonly buffer Logsumexp { float logsumexp[]; };

void main() {
  Tile tile = tile_here();
  vec4 q[ROWS][VECTORS];
  vec4 sum[ROWS][VECTORS];
  float peak[ROWS];
  float total[ROWS];
  [[unroll]] for (int r = 0; r < ROWS; r++) {
    int start = tile.qkv + min(tile.token + OWNERS * r, T - 1) * 3 * H * D;
    [[unroll]] for (int c = 0; c < VECTORS; c++) {
      q[r][c] = PART4(qkv, start, first_vector() + c) * scale;
      sum[r][c] = vec4(0.0);
    }
    peak[r] = -3e38;
    total[r] = 0.0;
  }
  Share share[SHARES];
  [[unroll]] for (int m = 0; m < SHARES; m++) share[m] = share_here(m);

  for (int j = 0; j < T; j += STEP) {
    vec4 k[SHARES];
    vec4 v[SHARES];
    [[unroll]] for (int m = 0; m < SHARES; m++) {
      int start = tile.qkv + min(j + share[m].token, T - 1) * 3 * H * D + H * D;
      k[m] = PART4(qkv, start, share[m].vector);
      v[m] = PART4(qkv, start + H * D, share[m].vector);
    }

    float p[ROWS][STEP];
    [[unroll]] for (int t = 0; t < STEP; t++) {
      [[unroll]] for (int r = 0; r < ROWS; r++) p[r][t] = 0.0;
      [[unroll]] for (int c = 0; c < VECTORS; c++) {
        vec4 x = STREAMED(k, t, c);
        [[unroll]] for (int r = 0; r < ROWS; r++) p[r][t] += dot(q[r][c], x);
      }
    }
    float shrink[ROWS];
    [[unroll]] for (int r = 0; r < ROWS; r++) {
      float before = peak[r];
      [[unroll]] for (int t = 0; t < STEP; t++) {
        p[r][t] = whole(p[r][t]);
        if (t > 0) p[r][t] = j + t < T ? p[r][t] : -3e38;
        peak[r] = max(peak[r], p[r][t]);
      }
      shrink[r] = exp(before - peak[r]);
      total[r] *= shrink[r];
      [[unroll]] for (int t = 0; t < STEP; t++) {
        p[r][t] = exp(p[r][t] - peak[r]);
        total[r] += p[r][t];
      }
    }
    [[unroll]] for (int c = 0; c < VECTORS; c++) {
      vec4 x[STEP];
      [[unroll]] for (int t = 0; t < STEP; t++) x[t] = STREAMED(v, t, c);
      [[unroll]] for (int r = 0; r < ROWS; r++) {
        vec4 s = sum[r][c] * shrink[r];
        [[unroll]] for (int t = 0; t < STEP; t++) s += p[r][t] * x[t];
        sum[r][c] = s;
      }
    }
  }

  KEEP_TOKENS(tile)
  KEEP_PLACE(to, tile.merged + tile.token * H * D)
  KEEP_NUMBER_PLACE(number_to, tile.pair * T + tile.token)
  [[unroll]] for (int r = 0; r < ROWS; r++) {
    float factor = 1.0 / total[r], number = peak[r] + log(total[r]);
    [[unroll]] for (int c = 0; c < VECTORS; c++) sum[r][c] *= factor;
    KEEP_ROW(y, to, H * D, r, sum[r])
    KEEP_NUMBER(logsumexp, number_to, r, number)
  }
}
