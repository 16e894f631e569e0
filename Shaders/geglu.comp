#version 450
// y[r, f] = a[r, f] gelu(b[r, f]) for x = [a | b]: x [rows, 2 F] -> y [rows, F].
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"
#include "fetch4.glsl"
#include "gelu.glsl"
#include "store4.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint F = 64;
const uint F4 = (F + 3) / 4;

layout(binding = 0) uniform textureBuffer x;  // R32 unless F % 4 = 0
layout(binding = 1) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Push { uint rows; };

void main() {
  uint i = linear_index();
  uint r = i / F4, f = 4 * (i % F4);
  vec4 a = fetch4(x, F % 4 == 0, int(2 * r * F), int(f), int(F));
  vec4 b = fetch4(x, F % 4 == 0, int((2 * r + 1) * F), int(f), int(F));
  if (r < rows) STORE4(y, r * F, f, F, a * gelu(b));
}
