#version 450
// The gradient of attention with respect to q, and what the kernel for k and v needs of each query.
//   delta = sum_d dy y,  p = exp(scale q k^T - logsumexp),  ds = p (dy v^T - delta),  dq = scale ds k
//   qkv, dqkv [B, T, 3, H, D], y, dy [B, T, H, D], logsumexp [B, H, T], stats [B, H, T, (logsumexp, delta)]
// (Dao et al., "FlashAttention", 2022, appendix B.4). A lane owns queries; keys stream past.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "span.glsl"
#include "attention.glsl"
layout(binding = 0, rgba32f) uniform readonly imageBuffer qkv;
layout(binding = 1, rgba32f) uniform readonly imageBuffer y;
layout(binding = 2, rgba32f) uniform readonly imageBuffer dy;
layout(binding = 3) uniform textureBuffer logsumexp;
layout(binding = 4) writeonly buffer DQKV { Span dqkv[]; };
layout(binding = 5) writeonly buffer Stats { vec2 stats[]; };

void main() {
  Tile tile = tile_here();
  vec4 q[ROWS][VECTORS];
  vec4 g[ROWS][VECTORS];
  vec4 dq[ROWS][VECTORS];
  float norm[ROWS];
  float delta[ROWS];
  [[unroll]] for (int r = 0; r < ROWS; r++) {
    int i = min(tile.token + OWNERS * r, T - 1);
    norm[r] = texelFetch(logsumexp, tile.pair * T + i).x;
    delta[r] = 0.0;
    [[unroll]] for (int c = 0; c < VECTORS; c++) {
      q[r][c] = PART4(qkv, tile.qkv + i * 3 * H * D, first_vector() + c) * scale;
      g[r][c] = PART4(dy, tile.merged + i * H * D, first_vector() + c);
      delta[r] += dot(g[r][c], PART4(y, tile.merged + i * H * D, first_vector() + c));
      dq[r][c] = vec4(0.0);
    }
  }
  [[unroll]] for (int r = 0; r < ROWS; r++) delta[r] = whole(delta[r]);
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
    float ds[ROWS][STEP];
    [[unroll]] for (int t = 0; t < STEP; t++) {
      float s[ROWS];
      float dp[ROWS];
      [[unroll]] for (int r = 0; r < ROWS; r++) s[r] = dp[r] = 0.0;
      [[unroll]] for (int c = 0; c < VECTORS; c++) {
        vec4 kx = STREAMED(k, t, c);
        vec4 vx = STREAMED(v, t, c);
        [[unroll]] for (int r = 0; r < ROWS; r++) {
          s[r] += dot(q[r][c], kx);
          dp[r] += dot(g[r][c], vx);
        }
      }
      [[unroll]] for (int r = 0; r < ROWS; r++) {
        ds[r][t] = exp(whole(s[r]) - norm[r]) * (whole(dp[r]) - delta[r]);
        if (t > 0) ds[r][t] = j + t < T ? ds[r][t] : 0.0;
      }
    }
    [[unroll]] for (int c = 0; c < VECTORS; c++) {
      vec4 x[STEP];
      [[unroll]] for (int t = 0; t < STEP; t++) x[t] = STREAMED(k, t, c);
      [[unroll]] for (int r = 0; r < ROWS; r++) {
        vec4 s = dq[r][c];
        [[unroll]] for (int t = 0; t < STEP; t++) s += ds[r][t] * x[t];
        dq[r][c] = s;
      }
    }
  }

  KEEP_TOKENS(tile)
  KEEP_PLACE(to, tile.qkv + tile.token * 3 * H * D)
  KEEP_NUMBER_PLACE(number_to, tile.pair * T + tile.token)
  [[unroll]] for (int r = 0; r < ROWS; r++) {
    vec2 numbers = vec2(norm[r], delta[r]);
    [[unroll]] for (int c = 0; c < VECTORS; c++) dq[r][c] *= scale;
    KEEP_ROW(dqkv, to, 3 * H * D, r, dq[r])
    KEEP_NUMBER(stats, number_to, r, numbers)
  }
}
