#version 450
// The gradient of attention over few tokens with respect to q, and what the kernel for k and v needs of each query.
//   delta = sum_d dy y,  p = exp(scale q k^T - logsumexp),  ds = p (dy v^T - delta),  dq = scale ds k
//   qkv, dqkv [B, T, 3, H, D], y, dy [B, T, H, D], logsumexp [B, H, T], stats [B, H, T, (logsumexp, delta)]
// (Dao et al., "FlashAttention", 2022, appendix B.4). A lane has one query.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "span.glsl"
#include "short_attention.glsl"
layout(binding = 0, rgba32f) uniform readonly imageBuffer qkv;
layout(binding = 1, rgba32f) uniform readonly imageBuffer y;
layout(binding = 2, rgba32f) uniform readonly imageBuffer dy;
layout(binding = 3) uniform textureBuffer logsumexp;
SPANS(4, dqkv)
layout(binding = 5) writeonly buffer Stats { vec2 stats[]; };
layout(push_constant) uniform Push {
  uint pairs;  // B H
  float scale;
  IDENTITY
  ADDRESS(qkv) ADDRESS(y) ADDRESS(dy)
};

void main() {
  SHORT_TILE(pairs)
  FROM(keys, qkv, first_qkv + H * D)
  FROM_AGAIN(keys_again, qkv, first_qkv + H * D)
  FROM(values, qkv, first_qkv + 2 * H * D)
  OWN_FROM(own, qkv, first_qkv, APART)
  OWN_FROM(own_y, y, first_y, H * D)
  OWN_FROM(own_dy, dy, first_y, H * D)
  vec4 q[VECTORS];
  vec4 g[VECTORS];
  vec4 dq[VECTORS];
  float norm = texelFetch(logsumexp, pair * T + token).x;
  float delta = 0.0;
  [[unroll]] for (int c = 0; c < VECTORS; c++) {
    q[c] = OWN_VECTOR(own, qkv, 4 * c, APART) * scale;
    g[c] = OWN_VECTOR(own_dy, dy, 4 * c, H * D);
    delta += dot(g[c], OWN_VECTOR(own_y, y, 4 * c, H * D));
    dq[c] = vec4(0.0);
  }
  [[unroll]] for (int j = 0; j < T; j++) {
    float s = 0.0, dp = 0.0;
    [[unroll]] for (int c = 0; c < VECTORS; c++) {
      s = plus_dot(s, q[c], VECTOR(keys, qkv, j * APART + 4 * c));
      dp = plus_dot(dp, g[c], VECTOR(values, qkv, j * APART + 4 * c));
    }
    float ds = exp(s - norm) * (dp - delta);
    [[unroll]] for (int c = 0; c < VECTORS; c++) dq[c] = fma(vec4(ds), VECTOR(keys_again, qkv, j * APART + 4 * c), dq[c]);
  }
  [[unroll]] for (int c = 0; c < VECTORS; c++) dq[c] *= scale;

  vec2 numbers = vec2(norm, delta);
  SETTLE(dq)
  KEEP_ROW(dqkv, first_qkv, APART, dq)
  KEEP_NUMBER(stats, pair * T, numbers)
}
