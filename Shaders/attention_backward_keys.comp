#version 450
// The gradient of attention with respect to k and v.
//   p = exp(scale q k^T - logsumexp),  ds = p (dy v^T - delta),  dk = scale ds^T q,  dv = p^T dy
//   qkv, dqkv [B, T, 3, H, D], dy [B, T, H, D], stats [B, H, T, (logsumexp, delta)]
// A lane owns keys; queries stream past.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "span.glsl"
#include "attention.glsl"
layout(binding = 0, rgba32f) uniform readonly imageBuffer qkv;
layout(binding = 1, rgba32f) uniform readonly imageBuffer dy;
layout(binding = 2) uniform textureBuffer stats;
layout(binding = 3) writeonly buffer DQKV { Span dqkv[]; };

const int STATS = (2 * STEP + MEMBERS - 1) / MEMBERS;  // numbers of `stats` that a lane reads in one step

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
      stat[m] = texelFetch(stats, 2 * tile.pair * T + min(2 * i + int(cluster_lane()) + MEMBERS * m, 2 * T - 1)).x;

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
      float norm = pass(stat[2 * t / MEMBERS], 2 * t % MEMBERS);
      float delta = pass(stat[(2 * t + 1) / MEMBERS], (2 * t + 1) % MEMBERS);
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

  KEEP_TOKENS(tile)
  KEEP_PLACE(to, tile.qkv + tile.token * 3 * H * D + H * D)
  KEEP_PLACE(values_to, tile.qkv + tile.token * 3 * H * D + 2 * H * D)
  [[unroll]] for (int r = 0; r < ROWS; r++) {
    [[unroll]] for (int c = 0; c < VECTORS; c++) dk[r][c] *= scale;
    KEEP_ROW(dqkv, to, 3 * H * D, r, dk[r])
    KEEP_ROW(dqkv, values_to, 3 * H * D, r, dv[r])
  }
}
