#version 450
// The gradient of attention over few tokens with respect to k and v.
//   p = exp(scale q k^T - logsumexp),  ds = p (dy v^T - delta),  dk = scale ds^T q,  dv = p^T dy
//   qkv, dqkv [B, T, 3, H, D], dy [B, T, H, D], stats [B, H, T, (logsumexp, delta)]
// A lane has one key.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "span.glsl"
#include "short_attention.glsl"
layout(binding = 0, rgba32f) uniform readonly imageBuffer qkv;
layout(binding = 1, rgba32f) uniform readonly imageBuffer dy;
layout(binding = 2) uniform textureBuffer stats;
SPANS(3, dqkv)
layout(push_constant) uniform Push {
  uint pairs;  // B H
  float scale;
  IDENTITY
  ADDRESS(qkv) ADDRESS(dy) ADDRESS(stats)
};

void main() {
  SHORT_TILE(pairs)
  FROM(queries, qkv, first_qkv)
  FROM_AGAIN(queries_again, qkv, first_qkv)
  FROM(gradients, dy, first_y)
  FROM_AGAIN(gradients_again, dy, first_y)
  FROM(numbers, stats, 2 * pair * T)
  OWN_FROM(own_k, qkv, first_qkv + H * D, APART)
  OWN_FROM(own_v, qkv, first_qkv + 2 * H * D, APART)
  vec4 k[VECTORS];
  vec4 v[VECTORS];
  vec4 dk[VECTORS];
  vec4 dv[VECTORS];
  [[unroll]] for (int c = 0; c < VECTORS; c++) {
    k[c] = OWN_VECTOR(own_k, qkv, 4 * c, APART) * scale;
    v[c] = OWN_VECTOR(own_v, qkv, 4 * c, APART);
    dk[c] = vec4(0.0);
    dv[c] = vec4(0.0);
  }
  [[unroll]] for (int i = 0; i < T; i++) {
    float s = 0.0, dp = 0.0;
    [[unroll]] for (int c = 0; c < VECTORS; c++) {
      s = plus_dot(s, k[c], VECTOR(queries, qkv, i * APART + 4 * c));
      dp = plus_dot(dp, v[c], VECTOR(gradients, dy, i * H * D + 4 * c));
    }
    float p = exp(s - NUMBER(numbers, stats, 2 * i));
    float ds = p * (dp - NUMBER(numbers, stats, 2 * i + 1));
    [[unroll]] for (int c = 0; c < VECTORS; c++) {
      dk[c] = fma(vec4(ds), VECTOR(queries_again, qkv, i * APART + 4 * c), dk[c]);
      dv[c] = fma(vec4(p), VECTOR(gradients_again, dy, i * H * D + 4 * c), dv[c]);
    }
  }
  [[unroll]] for (int c = 0; c < VECTORS; c++) dk[c] *= scale;

  SETTLE(dk)
  SETTLE(dv)
  KEEP_ROW(dqkv, first_qkv + H * D, APART, dk)
  KEEP_ROW(dqkv, first_qkv + 2 * H * D, APART, dv)
}
