// What a matmul kernel does to its sums before they leave the registers, each step chosen by a specialization constant:
//   v = sum + bias[n];  pre[m, n] = v;  v = gelu(v) or v gelu'(aux[m, n]);  c[m, n] = v + residual[m, n]
// Binds 0 ... 4; the includer's own operands follow. With WIDE_STORES defined (and wide.glsl included) eight columns leave at once.
#include "fetch4.glsl"
#include "gelu.glsl"

layout(constant_id = 20) const bool ALIGNED_C = true;  // N is a multiple of 4: vec4 stores and RGBA views
layout(constant_id = 21) const bool HAS_BIAS = false;
layout(constant_id = 22) const bool STORES_PRE = false;
layout(constant_id = 23) const uint ACTIVATION = 0;  // 0 none, 1 gelu, 2 times gelu's derivative at aux
layout(constant_id = 24) const bool HAS_RESIDUAL = false;

layout(binding = 0) uniform textureBuffer bias;      // [N]
layout(binding = 1) uniform textureBuffer aux;       // [M, N]
layout(binding = 2) uniform textureBuffer residual;  // [M, N]
#ifdef WIDE_STORES
layout(binding = 3) writeonly buffer C_ { u64vec4 c[]; };     // [M, N]
layout(binding = 4) writeonly buffer Pre { u64vec4 pre[]; };  // [M, N]
#else
layout(binding = 3) writeonly buffer C_ { vec4 c[]; };        // [M, N]
layout(binding = 4) writeonly buffer Pre { vec4 pre[]; };     // [M, N]
#endif

#define STORE(buffer, index, count, value) \
  if (ALIGNED_C) { \
    buffer[(index) >> 2] = value; \
  } else { \
    for (int j_ = 0; j_ < min(4, count); j_++) buffer[((index) + j_) >> 2][((index) + j_) & 3] = (value)[j_]; \
  }

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

#ifdef WIDE_STORES
/// Finishes and stores columns n ..< n + 8 of the row of C that starts at element `start`; all are multiples of 8.
void epilogue(int start, int n, int columns, vec4 sums[2], vec4 bias_values[2]) {
  if (HAS_BIAS) sums = vec4[2](sums[0] + bias_values[0], sums[1] + bias_values[1]);
  if (STORES_PRE) pre[(start + n) >> 3] = wide(sums[0], sums[1]);
  c[(start + n) >> 3] = wide(finished(start, n, columns, sums[0]), finished(start, n + 4, columns, sums[1]));
}
#else
/// Finishes and stores columns n ..< n + 4, n < columns, of the row of C that starts at element `start`.
void epilogue(int start, int n, int columns, vec4 sum, vec4 bias_values) {
  vec4 v = sum;
  if (HAS_BIAS) v += bias_values;
  if (STORES_PRE) {
    STORE(pre, start + n, columns - n, v)
  }
  v = finished(start, n, columns, v);
  STORE(c, start + n, columns - n, v)
}
#endif
