#version 450
// x[i] normal, by the first two words of the counter-based generator at (i, step, stream): Box and Muller; or Gumbel, by the
// first. i < count.
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"
#include "philox.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const bool GUMBEL = false;
layout(binding = 0) readonly buffer State { uint state[8]; };  // 0: step; 4, 5: seed, low and high
layout(binding = 1) writeonly buffer X { vec4 x[]; };
layout(push_constant) uniform Push {
  uint count;
  uint stream;
};

// cos(2 pi turn) for turn in [0, 1), to 1e-7: Vulkan asks of cos no more than 2^-11 (precision of SPIR-V instructions). As the sine of
// an angle within a quarter turn, by its series.
float cosine(float turn) {
  float z = 6.283185307 * (abs(turn - 0.5) - 0.25), s = z * z;
  return z * (1.0 + s * (-1.0 / 6.0 + s * (1.0 / 120.0 + s * (-1.0 / 5040.0 + s * (1.0 / 362880.0 - s / 39916800.0)))));
}

// -log(u) for u in (0, 1], at least 0: near 1, where Vulkan asks of log an error below 2^-21 only, which may exceed what is left, by
// the series of 2 artanh(t), t = (1 - u) / (1 + u), to 1e-7.
float minus_log(float u) {
  float t = (1.0 - u) / (1.0 + u), s = t * t;
  float series = 1.0 + s * (1.0 / 3.0 + s * (1.0 / 5.0 + s * (1.0 / 7.0 + s * (1.0 / 9.0 + s * (1.0 / 11.0 + s * (1.0 / 13.0))))));
  return u > 0.5 ? 2.0 * t * series : -log(u);
}

float number(uint i) {
  uvec4 bits = philox(uvec4(i, state[0], stream, 0), uvec2(state[4], state[5]));
  // 23 bits and a half: neither 0 nor 1, exactly.
  if (GUMBEL) return -log(minus_log((float(bits.x >> 9) + 0.5) * (1.0 / 8388608.0)));
  float u = float((bits.x >> 8) + 1) * (1.0 / 16777216.0);
  float turn = float(bits.y >> 8) * (1.0 / 16777216.0);
  return sqrt(2.0 * minus_log(u)) * cosine(turn);
}

vec4 value(uint i) { return vec4(number(4 * i), number(4 * i + 1), number(4 * i + 2), number(4 * i + 3)); }

void main() {
  uint i = linear_index();
  if (i < (count + 3) / 4) x[i] = value(i);
}
