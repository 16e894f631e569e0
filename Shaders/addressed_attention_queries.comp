#version 450
// The gradient of attention with respect to q, and what the kernel for k and v needs of each query, as attention_backward_queries.comp.
//   qkv, dqkv [B, T, 3, H, D], y, dy [B, T, H, D], logsumexp [B, H, T], stats [B, H, T, (logsumexp, delta)]
// A lane has a query; keys stream past. Groups: one subgroup each; x tiles of queries, y (b, h).
#extension GL_GOOGLE_include_directive : require
#include "addressed_attention.glsl"
layout(binding = 0, rgba32f) uniform readonly imageBuffer qkv;
layout(binding = 1, rgba32f) uniform readonly imageBuffer y;
layout(binding = 2, rgba32f) uniform readonly imageBuffer dy;
layout(binding = 3) uniform textureBuffer logsumexp;
WIDE_SPANS(4, dqkv)
layout(binding = 5) writeonly buffer Stats { vec2 stats[]; };
layout(push_constant) uniform Push {
  int T;
  int zero;
  float scale;
  uvec2 qkv_address;
};

void main() {
  TILE
  vec4 q[VECTORS], g[VECTORS], dq[VECTORS];
  float norm = texelFetch(logsumexp, pair * T + token).x, delta = 0.0;
  [[unroll]] for (int c = 0; c < VECTORS; c++) {
    int at = (first_y + token * H * D) / 4 + c;
    q[c] = imageLoad(qkv, (first_qkv + token * APART) / 4 + c) * scale;
    g[c] = imageLoad(dy, at);
    delta += dot(g[c], imageLoad(y, at));
    dq[c] = vec4(0.0);
  }

#define PASS(at, past) { \
    int keys = first_qkv + (at) * APART + H * D, values = keys + H * D; \
    float s[STEP], ds[STEP]; \
    EACH_TOKEN(t) s[t] = ds[t] = 0.0; \
    EACH_NUMBER(i) EACH_TOKEN(t) { \
      s[t] = fma(q[i / 4][i % 4], NUMBER(qkv, keys, t * APART + i), s[t]); \
      ds[t] = fma(g[i / 4][i % 4], NUMBER(qkv, values, t * APART + i), ds[t]); \
    } \
    EACH_TOKEN(t) ds[t] = t < (past) ? 0.0 : exp(s[t] - norm) * (ds[t] - delta); \
    keys = AGAIN(keys); \
    EACH_NUMBER(i) EACH_TOKEN(t) \
      dq[i / 4][i % 4] = fma(ds[t], NUMBER(qkv, keys, t * APART + i), dq[i / 4][i % 4]); \
  }
  EACH_STEP(PASS)

  [[unroll]] for (int c = 0; c < VECTORS; c++) dq[c] *= scale;
  KEEP_ROW(dqkv, first_qkv, APART, dq)
  stats[pair * T + token] = vec2(norm, delta);
}
