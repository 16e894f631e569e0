#version 450
// The gradient of attention with respect to k and v, as attention_backward_keys.comp.
//   qkv, dqkv [B, T, 3, H, D], dy [B, T, H, D], stats [B, H, T, (logsumexp, delta)]
// A lane has a key; queries stream past. Groups: one subgroup each; x tiles of keys, y (b, h).
#extension GL_GOOGLE_include_directive : require
#include "addressed_attention.glsl"
layout(binding = 0, rgba32f) uniform readonly imageBuffer qkv;
layout(binding = 1) uniform textureBuffer dy;
layout(binding = 2) uniform textureBuffer stats;
WIDE_SPANS(3, dqkv)
layout(push_constant) uniform Push {
  int T;
  int zero;
  float scale;
  uvec2 qkv_address;
  uvec2 dy_address;
  uvec2 stats_address;
};

void main() {
  TILE
  vec4 k[VECTORS], v[VECTORS], dk[VECTORS], dv[VECTORS];
  [[unroll]] for (int c = 0; c < VECTORS; c++) {
    int key = (first_qkv + token * APART + H * D) / 4 + c;
    k[c] = imageLoad(qkv, key) * scale;
    v[c] = imageLoad(qkv, key + H * D / 4);
    dk[c] = dv[c] = vec4(0.0);
  }

#define PASS(at, past) { \
    int queries = first_qkv + (at) * APART, gradients = first_y + (at) * H * D, numbers = 2 * (pair * T + (at)); \
    float p[STEP], ds[STEP]; \
    EACH_TOKEN(t) p[t] = ds[t] = 0.0; \
    EACH_NUMBER(i) EACH_TOKEN(t) { \
      p[t] = fma(k[i / 4][i % 4], NUMBER(qkv, queries, t * APART + i), p[t]); \
      ds[t] = fma(v[i / 4][i % 4], NUMBER(dy, gradients, t * H * D + i), ds[t]); \
    } \
    EACH_TOKEN(t) { \
      p[t] = t < (past) ? 0.0 : exp(p[t] - NUMBER(stats, numbers, 2 * t)); \
      ds[t] = p[t] * (ds[t] - NUMBER(stats, numbers, 2 * t + 1)); \
    } \
    queries = AGAIN(queries); \
    gradients = AGAIN(gradients); \
    EACH_NUMBER(i) EACH_TOKEN(t) { \
      dk[i / 4][i % 4] = fma(ds[t], NUMBER(qkv, queries, t * APART + i), dk[i / 4][i % 4]); \
      dv[i / 4][i % 4] = fma(p[t], NUMBER(dy, gradients, t * H * D + i), dv[i / 4][i % 4]); \
    } \
  }
  EACH_STEP(PASS)

  [[unroll]] for (int c = 0; c < VECTORS; c++) dk[c] *= scale;
  KEEP_ROW(dqkv, first_qkv + H * D, APART, dk)
  KEEP_ROW(dqkv, first_qkv + 2 * H * D, APART, dv)
}
