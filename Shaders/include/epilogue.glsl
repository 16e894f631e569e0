// What a matmul kernel does to its sums before they leave the registers, each step chosen by a specialization constant:
//   v = sum + bias[n];  pre[m, n] = v;  v = gelu(v) or v gelu'(aux[m, n]);  c[m, n] = v + residual[m, n]
// Binds 0 ... 6; the includer's own operands follow.
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
// The outputs [M, N], each as vectors and as scalars; the host binds what ALIGNED_C selects.
layout(binding = 3) writeonly buffer C4 { vec4 c4[]; };
layout(binding = 4) writeonly buffer C1 { float c1[]; };
layout(binding = 5) writeonly buffer Pre4 { vec4 pre4[]; };
layout(binding = 6) writeonly buffer Pre1 { float pre1[]; };

void store_c(int index, int count, vec4 v) {
  if (ALIGNED_C) {
    c4[index >> 2] = v;
  } else {
    c1[index] = v.x;
    if (count > 1) c1[index + 1] = v.y;
    if (count > 2) c1[index + 2] = v.z;
    if (count > 3) c1[index + 3] = v.w;
  }
}

void store_pre(int index, int count, vec4 v) {
  if (ALIGNED_C) {
    pre4[index >> 2] = v;
  } else {
    pre1[index] = v.x;
    if (count > 1) pre1[index + 1] = v.y;
    if (count > 2) pre1[index + 2] = v.z;
    if (count > 3) pre1[index + 3] = v.w;
  }
}

/// What columns n ..< n + 4 need of the bias row that starts at element `start`.
vec4 bias_at(int start, int n, int columns) {
  return HAS_BIAS ? fetch4(bias, ALIGNED_C, start, n, columns) : vec4(0.0);
}

/// Finishes and stores columns n ..< n + 4, n < columns, of the row of C that starts at element `start`.
void epilogue(int start, int n, int columns, vec4 sum, vec4 bias_values) {
  vec4 v = sum;
  if (HAS_BIAS) v += bias_values;
  if (STORES_PRE) store_pre(start + n, columns - n, v);
  if (ACTIVATION == 1) v = gelu(v);
  if (ACTIVATION == 2) v *= gelu_derivative(fetch4(aux, ALIGNED_C, start, n, columns));
  if (HAS_RESIDUAL) v += fetch4(residual, ALIGNED_C, start, n, columns);
  store_c(start + n, columns - n, v);
}
