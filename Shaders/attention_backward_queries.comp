#version 450
// The gradient of attention with respect to q, and what the kernel for k and v needs of each query.
//   delta = sum_d dy y,  p = exp(scale q k^T - logsumexp),  ds = p (dy v^T - delta),  dq = scale ds k
//   qkv, dqkv [B, T, 3, H, D], y, dy [B, T, H, D], logsumexp [B, H, T], stats [B, H, T, (logsumexp, delta)]
// (Dao et al., "FlashAttention", 2022, appendix B.4). A lane owns queries; keys stream past.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "attention.glsl"
layout(binding = 0) uniform textureBuffer qkv;
layout(binding = 1) uniform textureBuffer y;
layout(binding = 2) uniform textureBuffer dy;
layout(binding = 3) uniform textureBuffer logsumexp;
layout(binding = 4) writeonly buffer DQKV { vec4 dqkv[]; };
layout(binding = 5) writeonly buffer DQKVScalars { float dqkv_scalars[]; };  // where D is not a multiple of 4
layout(binding = 6) writeonly buffer Stats { vec2 stats[]; };

void main() {
  Tile tile = tile_here();
  vec4 q[ROWS][VECTORS];
  vec4 g[ROWS][VECTORS];
  vec4 dq[ROWS][VECTORS];
  float norm[ROWS];
  float delta[ROWS];
  [[unroll]] for (int r = 0; r < ROWS; r++) {
    int i = min(tile.token + CLUSTER * r, T - 1);
    norm[r] = texelFetch(logsumexp, tile.pair * T + i).x;
    delta[r] = 0.0;
    [[unroll]] for (int c = 0; c < VECTORS; c++) {
      q[r][c] = row4(qkv, tile.qkv + i * 3 * C, 4 * c) * scale;
      g[r][c] = row4(dy, tile.merged + i * C, 4 * c);
      delta[r] += dot(g[r][c], row4(y, tile.merged + i * C, 4 * c));
      dq[r][c] = vec4(0.0);
    }
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
    float ds[ROWS][STEP];
    [[unroll]] for (int t = 0; t < STEP; t++) {
      float s[ROWS];
      float dp[ROWS];
      [[unroll]] for (int r = 0; r < ROWS; r++) s[r] = dp[r] = 0.0;
      [[unroll]] for (int c = 0; c < VECTORS; c++) {
        vec4 kx = pass(k[(t * VECTORS + c) / CLUSTER], tile.base, (t * VECTORS + c) % CLUSTER);
        vec4 vx = pass(v[(t * VECTORS + c) / CLUSTER], tile.base, (t * VECTORS + c) % CLUSTER);
        [[unroll]] for (int r = 0; r < ROWS; r++) {
          s[r] += dot(q[r][c], kx);
          dp[r] += dot(g[r][c], vx);
        }
      }
      [[unroll]] for (int r = 0; r < ROWS; r++) {
        ds[r][t] = exp(s[r] - norm[r]) * (dp[r] - delta[r]);
        if (t > 0) ds[r][t] = j + t < T ? ds[r][t] : 0.0;
      }
    }
    [[unroll]] for (int c = 0; c < VECTORS; c++) {
      vec4 x[STEP];
      [[unroll]] for (int t = 0; t < STEP; t++)
        x[t] = pass(k[(t * VECTORS + c) / CLUSTER], tile.base, (t * VECTORS + c) % CLUSTER);
      [[unroll]] for (int r = 0; r < ROWS; r++) {
        vec4 s = dq[r][c];
        [[unroll]] for (int t = 0; t < STEP; t++) s += ds[r][t] * x[t];
        dq[r][c] = s;
      }
    }
  }

  [[unroll]] for (int r = 0; r < ROWS; r++) {
    int i = tile.token + CLUSTER * r;
    if (tile.exists && i < T) {
      int start = tile.qkv + i * 3 * C;
      [[unroll]] for (int c = 0; c < VECTORS; c++) {
        vec4 x = dq[r][c] * scale;
        if (ALIGNED) dqkv[start / 4 + c] = x;
        else [[unroll]] for (int e = 0; e < 4; e++) if (4 * c + e < D) dqkv_scalars[start + 4 * c + e] = x[e];
      }
      stats[tile.pair * T + i] = vec2(norm[r], delta[r]);
    }
  }
}
