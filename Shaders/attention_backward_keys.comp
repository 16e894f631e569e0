#version 450
// The gradient of attention with respect to k and v.
//   p = exp(scale q k^T - logsumexp),  ds = p (dy v^T - delta),  dk = scale ds^T q,  dv = p^T dy
//   qkv, dqkv [B, T, 3, H, D], dy [B, T, H, D], stats [B, H, T, (logsumexp, delta)]
// A lane owns keys; queries stream past.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "attention.glsl"
layout(binding = 0) uniform textureBuffer qkv;
layout(binding = 1) uniform textureBuffer dy;
layout(binding = 2) uniform textureBuffer stats;
layout(binding = 3) writeonly buffer DQKV { vec4 dqkv[]; };
layout(binding = 4) writeonly buffer DQKVScalars { float dqkv_scalars[]; };  // where D is not a multiple of 4

const int STATS = (2 * STEP + CLUSTER - 1) / CLUSTER;  // numbers of `stats` that a lane reads in one step

void main() {
  Tile tile = tile_here();
  vec4 k[ROWS][VECTORS];
  vec4 v[ROWS][VECTORS];
  vec4 dk[ROWS][VECTORS];
  vec4 dv[ROWS][VECTORS];
  [[unroll]] for (int r = 0; r < ROWS; r++) {
    int start = tile.qkv + min(tile.token + CLUSTER * r, T - 1) * 3 * C + C;
    [[unroll]] for (int c = 0; c < VECTORS; c++) {
      k[r][c] = row4(qkv, start, 4 * c) * scale;
      v[r][c] = row4(qkv, start + C, 4 * c);
      dk[r][c] = vec4(0.0);
      dv[r][c] = vec4(0.0);
    }
  }
  int query_of[SHARES];
  int d_of[SHARES];
  [[unroll]] for (int m = 0; m < SHARES; m++) {
    int share = min(tile.lane + CLUSTER * m, STEP * VECTORS - 1);
    query_of[m] = share / VECTORS;
    d_of[m] = 4 * (share % VECTORS);
  }

  for (int i = 0; i < T; i += STEP) {
    vec4 q[SHARES];
    vec4 g[SHARES];
    float stat[STATS];
    [[unroll]] for (int m = 0; m < SHARES; m++) {
      int token = min(i + query_of[m], T - 1);
      q[m] = row4(qkv, tile.qkv + token * 3 * C, d_of[m]);
      g[m] = row4(dy, tile.merged + token * C, d_of[m]);
    }
    [[unroll]] for (int m = 0; m < STATS; m++)
      stat[m] = texelFetch(stats, 2 * tile.pair * T + min(2 * i + tile.lane + CLUSTER * m, 2 * T - 1)).x;

    float p[ROWS][STEP];
    float ds[ROWS][STEP];
    [[unroll]] for (int t = 0; t < STEP; t++) {
      float s[ROWS];
      float dp[ROWS];
      [[unroll]] for (int r = 0; r < ROWS; r++) s[r] = dp[r] = 0.0;
      [[unroll]] for (int c = 0; c < VECTORS; c++) {
        vec4 qx = pass(q[(t * VECTORS + c) / CLUSTER], tile.base, (t * VECTORS + c) % CLUSTER);
        vec4 gx = pass(g[(t * VECTORS + c) / CLUSTER], tile.base, (t * VECTORS + c) % CLUSTER);
        [[unroll]] for (int r = 0; r < ROWS; r++) {
          s[r] += dot(k[r][c], qx);
          dp[r] += dot(v[r][c], gx);
        }
      }
      float norm = pass(stat[2 * t / CLUSTER], tile.base, 2 * t % CLUSTER);
      float delta = pass(stat[(2 * t + 1) / CLUSTER], tile.base, (2 * t + 1) % CLUSTER);
      [[unroll]] for (int r = 0; r < ROWS; r++) {
        p[r][t] = exp(s[r] - norm);
        if (t > 0) p[r][t] = i + t < T ? p[r][t] : 0.0;
        ds[r][t] = p[r][t] * (dp[r] - delta);
      }
    }
    [[unroll]] for (int c = 0; c < VECTORS; c++) {
      vec4 qx[STEP];
      vec4 gx[STEP];
      [[unroll]] for (int t = 0; t < STEP; t++) {
        qx[t] = pass(q[(t * VECTORS + c) / CLUSTER], tile.base, (t * VECTORS + c) % CLUSTER);
        gx[t] = pass(g[(t * VECTORS + c) / CLUSTER], tile.base, (t * VECTORS + c) % CLUSTER);
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
    int j = tile.token + CLUSTER * r;
    if (tile.exists && j < T) {
      int start = tile.qkv + j * 3 * C + C;
      [[unroll]] for (int c = 0; c < VECTORS; c++) {
        vec4 xk = dk[r][c] * scale;
        vec4 xv = dv[r][c];
        if (ALIGNED) {
          dqkv[start / 4 + c] = xk;
          dqkv[(start + C) / 4 + c] = xv;
        } else {
          [[unroll]] for (int e = 0; e < 4; e++) {
            if (4 * c + e < D) dqkv_scalars[start + 4 * c + e] = xk[e];
            if (4 * c + e < D) dqkv_scalars[start + C + 4 * c + e] = xv[e];
          }
        }
      }
    }
  }
}
