#version 450
// y = softmax(q k^T scale) v for each (b, h), with the heads merged, and the logarithm of softmax's denominator, as attention.comp.
//   qkv [B, T, 3, H, D], y [B, T, H, D], logsumexp [B, H, T]
// A lane has a query; keys stream past. Groups: one subgroup each; x tiles of queries, y (b, h).
#extension GL_GOOGLE_include_directive : require
#include "addressed_attention.glsl"
layout(binding = 0, rgba32f) uniform readonly imageBuffer qkv;
WIDE_SPANS(1, y)
layout(binding = 2) writeonly buffer Logsumexp { float logsumexp[]; };
layout(push_constant) uniform Push {
  int T;
  float scale;
  uvec2 qkv_address;
};

void main() {
  TILE
  vec4 q[VECTORS], sum[VECTORS];
  [[unroll]] for (int c = 0; c < VECTORS; c++) {
    q[c] = imageLoad(qkv, (first_qkv + token * APART) / 4 + c) * scale;
    sum[c] = vec4(0.0);
  }
  const float LOWEST = -3e38;
  float peak = LOWEST, total = 0.0;

#define PASS(at, past) { \
    int keys = first_qkv + (at) * APART + H * D, values = keys + H * D; \
    float p[STEP]; \
    EACH_TOKEN(t) p[t] = 0.0; \
    EACH_NUMBER(i) EACH_TOKEN(t) p[t] = fma(q[i / 4][i % 4], NUMBER(qkv, keys, t * APART + i), p[t]); \
    EACH_TOKEN(t) if (t < (past)) p[t] = LOWEST; \
    float before = peak; \
    EACH_TOKEN(t) peak = max(peak, p[t]); \
    float shrink = exp(before - peak); \
    total *= shrink; \
    EACH_TOKEN(t) { \
      p[t] = exp(p[t] - peak); \
      total += p[t]; \
    } \
    EACH_NUMBER(i) { \
      float s = sum[i / 4][i % 4] * shrink; \
      EACH_TOKEN(t) s = fma(p[t], NUMBER(qkv, values, t * APART + i), s); \
      sum[i / 4][i % 4] = s; \
    } \
  }
  EACH_STEP(PASS)

  float factor = 1.0 / total;
  [[unroll]] for (int c = 0; c < VECTORS; c++) sum[c] *= factor;
  KEEP_ROW(y, first_y, H * D, sum)
  logsumexp[pair * T + token] = peak + log(total);
}
