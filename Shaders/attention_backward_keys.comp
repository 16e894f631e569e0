#version 450
// The gradient of attention with respect to k and v.
//   p = exp(scale q k^T - logsumexp),  ds = p (dy v^T - delta),  dk = scale ds^T q,  dv = p^T dy
//   qkv, dqkv [B, T, 3, H, D], dy [B, T, H, D], stats [B, H, T, (logsumexp, delta)]
// A lane owns keys; queries stream past.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "attention.glsl"
layout(binding = 0, rgba32f) uniform readonly imageBuffer qkv;
layout(binding = 1, rgba32f) uniform readonly imageBuffer dy;
layout(binding = 2) uniform textureBuffer stats;
layout(binding = 3) writeonly buffer DQKV { vec4 dqkv[]; };

const int STATS = (2 * STEP + LANES - 1) / LANES;  // numbers of `stats` that a lane reads in one step

void main() {
  Tile tile = tile_here();
  vec4 k[ROWS][VECTORS];
  vec4 v[ROWS][VECTORS];
  vec4 dk[ROWS][VECTORS];
  vec4 dv[ROWS][VECTORS];
  [[unroll]] for (int r = 0; r < ROWS; r++) {
    int start = tile.qkv + min(tile.token + OWNERS * r, T - 1) * 3 * H * D + H * D;
    [[unroll]] for (int c = 0; c < VECTORS; c++) {
      k[r][c] = PART4(qkv, start, first_vector() + c) * scale;
      v[r][c] = PART4(qkv, start + H * D, first_vector() + c);
      dk[r][c] = vec4(0.0);
      dv[r][c] = vec4(0.0);
    }
  }
  Share share[SHARES];
  [[unroll]] for (int m = 0; m < SHARES; m++) share[m] = share_here(m);

  for (int i = 0; i < T; i += STEP) {
    vec4 q[SHARES];
    vec4 g[SHARES];
    float stat[STATS];
    [[unroll]] for (int m = 0; m < SHARES; m++) {
      int token = min(i + share[m].token, T - 1);
      q[m] = PART4(qkv, tile.qkv + token * 3 * H * D, share[m].vector);
      g[m] = PART4(dy, tile.merged + token * H * D, share[m].vector);
    }
    [[unroll]] for (int m = 0; m < STATS; m++)
      stat[m] = texelFetch(stats, 2 * tile.pair * T + min(2 * i + int(cluster_lane()) + LANES * m, 2 * T - 1)).x;

    float p[ROWS][STEP];
    float ds[ROWS][STEP];
    [[unroll]] for (int t = 0; t < STEP; t++) {
      float s[ROWS];
      float dp[ROWS];
      [[unroll]] for (int r = 0; r < ROWS; r++) s[r] = dp[r] = 0.0;
      [[unroll]] for (int c = 0; c < VECTORS; c++) {
        vec4 qx = STREAMED(q, t, c);
        vec4 gx = STREAMED(g, t, c);
        [[unroll]] for (int r = 0; r < ROWS; r++) {
          s[r] += dot(k[r][c], qx);
          dp[r] += dot(v[r][c], gx);
        }
      }
      float norm = pass(stat[2 * t / LANES], 2 * t % LANES);
      float delta = pass(stat[(2 * t + 1) / LANES], (2 * t + 1) % LANES);
      [[unroll]] for (int r = 0; r < ROWS; r++) {
        p[r][t] = exp(whole(s[r]) - norm);
        if (t > 0) p[r][t] = i + t < T ? p[r][t] : 0.0;
        ds[r][t] = p[r][t] * (whole(dp[r]) - delta);
      }
    }
    [[unroll]] for (int c = 0; c < VECTORS; c++) {
      vec4 qx[STEP];
      vec4 gx[STEP];
      [[unroll]] for (int t = 0; t < STEP; t++) {
        qx[t] = STREAMED(q, t, c);
        gx[t] = STREAMED(g, t, c);
      }
      [[unroll]] for (int r = 0; r < ROWS; r++) {
        vec4 sk = dk[r][c];
        vec4 sv = dv[r][c];
        [[unroll]] for (int t = 0; t < STEP; t++) {
          sk += ds[r][t] * qx[t];
          sv += p[r][t] * gx[t];
        }
        dk[r][c] = sk;
        dv[r][c] = sv;
      }
    }
  }

  [[unroll]] for (int r = 0; r < ROWS; r++) {
    int j = tile.token + OWNERS * r;
    if (tile.exists && j < T) {
      int start = tile.qkv + j * 3 * H * D + H * D;
      [[unroll]] for (int c = 0; c < VECTORS; c++) {
        KEEP4(dqkv, start, c, dk[r][c] * scale);
        KEEP4(dqkv, start + H * D, c, dv[r][c]);
      }
    }
  }
}
