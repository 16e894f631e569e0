// What a matmul kernel does to its sums before they leave the registers, each step chosen by a specialization constant:
//   v = sum + bias[n];  pre[m, n] = v;  v = gelu(v) or v gelu'(aux[m, n]);  c[m, n] = v + residual[m, n]
// Binds 0 ... 4; the includer's own operands follow. A span of columns leaves at once.
#extension GL_EXT_control_flow_attributes : require
#include "fetch4.glsl"
#include "gelu.glsl"
#include "span.glsl"

layout(constant_id = 20) const bool ALIGNED_C = true;  // N is a multiple of 4: vec4 stores and RGBA views
layout(constant_id = 21) const bool HAS_BIAS = false;
layout(constant_id = 22) const bool STORES_PRE = false;
layout(constant_id = 23) const uint ACTIVATION = 0;  // 0 none, 1 gelu, 2 times gelu's derivative at aux
layout(constant_id = 24) const bool HAS_RESIDUAL = false;

layout(binding = 0) uniform textureBuffer bias;      // [N]
layout(binding = 1) uniform textureBuffer aux;       // [M, N]
layout(binding = 2) uniform textureBuffer residual;  // [M, N]
layout(binding = 3) writeonly buffer C_ { Span c[]; };     // [M, N]
layout(binding = 4) writeonly buffer Pre { Span pre[]; };  // [M, N]

#ifndef WIDE
#define STORE(buffer, index, count, value) \
  if (ALIGNED_C) { \
    buffer[(index) >> 2] = value; \
  } else { \
    for (int j_ = 0; j_ < min(4, count); j_++) buffer[((index) + j_) >> 2][((index) + j_) & 3] = (value)[j_]; \
  }
#endif

/// What columns n ..< n + 4 need of the bias row that starts at element `start`.
vec4 bias_at(int start, int n, int columns) {
  return HAS_BIAS ? fetch4(bias, ALIGNED_C, start, n, columns) : vec4(0.0);
}

/// Columns n ..< n + 4 of C, from the sums with their bias.
vec4 finished(int start, int n, int columns, vec4 v) {
  if (ACTIVATION == 1) v = gelu(v);
  if (ACTIVATION == 2) v *= gelu_derivative(fetch4(aux, ALIGNED_C, start, n, columns));
  if (HAS_RESIDUAL) v += fetch4(residual, ALIGNED_C, start, n, columns);
  return v;
}

/// Finishes and stores the span of columns from n on, n < columns, of the row of C that starts at element `start`. In the wide form
/// rows are whole spans.
void epilogue(int start, int n, int columns, vec4 sums[SPAN], vec4 bias_values[SPAN]) {
  if (HAS_BIAS) {
    [[unroll]] for (uint v = 0; v < SPAN; v++) sums[v] += bias_values[v];
  }
#ifdef WIDE
  if (STORES_PRE) pre[(start + n) >> 3] = span(sums);
  [[unroll]] for (uint v = 0; v < SPAN; v++) sums[v] = finished(start, n + 4 * int(v), columns, sums[v]);
  c[(start + n) >> 3] = span(sums);
#else
  if (STORES_PRE) {
    STORE(pre, start + n, columns - n, sums[0])
  }
  vec4 v = finished(start, n, columns, sums[0]);
  STORE(c, start + n, columns - n, v)
#endif
}
