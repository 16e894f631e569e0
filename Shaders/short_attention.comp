#version 450
// y = softmax(q k^T scale) v for each (b, h) of few tokens, with the heads merged, and the logarithm of softmax's denominator.
//   qkv [B, T, 3, H, D], y [B, T, H, D], logsumexp [B, H, T]
// A lane has one query.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "span.glsl"
#include "short_attention.glsl"
layout(binding = 0, rgba32f) uniform readonly imageBuffer qkv;
SPANS(1, y)
layout(binding = 2) writeonly buffer Logsumexp { float logsumexp[]; };
layout(push_constant) uniform Push {
  uint pairs;  // B H
  float scale;
  IDENTITY
  ADDRESS(qkv)
};

void main() {
  SHORT_TILE(pairs)
  FROM(keys, qkv, first_qkv + H * D)
  FROM(values, qkv, first_qkv + 2 * H * D)
  OWN_FROM(own, qkv, first_qkv, APART)
  vec4 q[VECTORS];
  [[unroll]] for (int c = 0; c < VECTORS; c++) q[c] = OWN_VECTOR(own, qkv, 4 * c, APART) * scale;

  float p[T];
  float peak = -3e38;
  [[unroll]] for (int j = 0; j < T; j++) {
    p[j] = 0.0;
    [[unroll]] for (int c = 0; c < VECTORS; c++) p[j] = plus_dot(p[j], q[c], VECTOR(keys, qkv, j * APART + 4 * c));
    peak = max(peak, p[j]);
  }
  float total = 0.0;
  [[unroll]] for (int j = 0; j < T; j++) {
    p[j] = exp(p[j] - peak);
    total += p[j];
  }
  vec4 sum[VECTORS];
  [[unroll]] for (int c = 0; c < VECTORS; c++) sum[c] = vec4(0.0);
  [[unroll]] for (int j = 0; j < T; j++) {
    [[unroll]] for (int c = 0; c < VECTORS; c++) sum[c] = fma(vec4(p[j]), VECTOR(values, qkv, j * APART + 4 * c), sum[c]);
  }
  [[unroll]] for (int c = 0; c < VECTORS; c++) sum[c] /= total;

  SETTLE(sum)
  KEEP_ROW(y, first_y, H * D, sum)
  KEEP_NUMBER(logsumexp, pair * T, peak + log(total))
}
