#version 450
// u[i] in [0, 1), i < count: 24 bits of the counter-based generator at (i, step, stream).
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"
#include "philox.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) readonly buffer State { uint state[8]; };  // 0: step; 4, 5: seed, low and high
layout(binding = 1) writeonly buffer U { vec4 u[]; };
layout(push_constant) uniform Push {
  uint count;
  uint stream;
};

float number(uint i) {
  return float(philox(uvec4(i, state[0], stream, 0), uvec2(state[4], state[5])).x >> 8) * (1.0 / 16777216.0);
}

vec4 value(uint i) { return vec4(number(4 * i), number(4 * i + 1), number(4 * i + 2), number(4 * i + 3)); }

void main() {
  uint i = linear_index();
  if (i < (count + 3) / 4) u[i] = value(i);
}
