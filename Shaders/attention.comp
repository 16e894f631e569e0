#version 450
// y = softmax(q k^T scale) v for each (b, h), with the heads merged, and the logarithm of softmax's denominator.
//   qkv [B, T, 3, H, D], y [B, T, H, D], logsumexp [B, H, T]; any T, any D.
// A lane owns queries; keys stream past. The softmax is online (Milakov and Gimelshein 2018): sums so far are rescaled
// when a step raises the maximum.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "attention.glsl"
layout(binding = 0) uniform textureBuffer qkv;
layout(binding = 1) writeonly buffer Y { vec4 y[]; };
layout(binding = 2) writeonly buffer YScalars { float y_scalars[]; };  // where D is not a multiple of 4
layout(binding = 3) writeonly buffer Logsumexp { float logsumexp[]; };

void main() {
  Tile tile = tile_here();
  vec4 q[ROWS][VECTORS];
  vec4 sum[ROWS][VECTORS];
  float peak[ROWS];
  float total[ROWS];
  [[unroll]] for (int r = 0; r < ROWS; r++) {
    int start = tile.qkv + min(tile.token + CLUSTER * r, T - 1) * 3 * C;
    [[unroll]] for (int c = 0; c < VECTORS; c++) {
      q[r][c] = row4(qkv, start, 4 * c) * scale;
      sum[r][c] = vec4(0.0);
    }
    peak[r] = -3e38;
    total[r] = 0.0;
  }
  int key_of[SHARES];
  int d_of[SHARES];
  [[unroll]] for (int m = 0; m < SHARES; m++) {
    int share = min(tile.lane + CLUSTER * m, STEP * VECTORS - 1);
    key_of[m] = share / VECTORS;
    d_of[m] = 4 * (share % VECTORS);
  }

  for (int j = 0; j < T; j += STEP) {
    vec4 k[SHARES];
    vec4 v[SHARES];
    [[unroll]] for (int m = 0; m < SHARES; m++) {
      int start = tile.qkv + min(j + key_of[m], T - 1) * 3 * C + C;
      k[m] = row4(qkv, start, d_of[m]);
      v[m] = row4(qkv, start + C, d_of[m]);
    }

    float p[ROWS][STEP];
    [[unroll]] for (int t = 0; t < STEP; t++) {
      [[unroll]] for (int r = 0; r < ROWS; r++) p[r][t] = 0.0;
      [[unroll]] for (int c = 0; c < VECTORS; c++) {
        vec4 x = pass(k[(t * VECTORS + c) / CLUSTER], tile.base, (t * VECTORS + c) % CLUSTER);
        [[unroll]] for (int r = 0; r < ROWS; r++) p[r][t] += dot(q[r][c], x);
      }
    }
    float shrink[ROWS];
    [[unroll]] for (int r = 0; r < ROWS; r++) {
      float before = peak[r];
      [[unroll]] for (int t = 0; t < STEP; t++) {
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
      [[unroll]] for (int t = 0; t < STEP; t++)
        x[t] = pass(v[(t * VECTORS + c) / CLUSTER], tile.base, (t * VECTORS + c) % CLUSTER);
      [[unroll]] for (int r = 0; r < ROWS; r++) {
        vec4 s = sum[r][c] * shrink[r];
        [[unroll]] for (int t = 0; t < STEP; t++) s += p[r][t] * x[t];
        sum[r][c] = s;
      }
    }
  }

  [[unroll]] for (int r = 0; r < ROWS; r++) {
    int i = tile.token + CLUSTER * r;
    if (tile.exists && i < T) {
      float share = 1.0 / total[r];
      int start = tile.merged + i * C;
      [[unroll]] for (int c = 0; c < VECTORS; c++) {
        vec4 x = sum[r][c] * share;
        if (ALIGNED) y[start / 4 + c] = x;
        else [[unroll]] for (int e = 0; e < 4; e++) if (4 * c + e < D) y_scalars[start + 4 * c + e] = x[e];
      }
      logsumexp[tile.pair * T + i] = peak[r] + log(total[r]);
    }
  }
}
