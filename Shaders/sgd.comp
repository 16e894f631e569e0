#version 450
// Stochastic gradient descent with Nesterov's momentum over a whole block of count4 vectors. Parameters and momentum are read as
// texels and written as storage; a subgroup reads only what it writes itself, so the two views never race.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "adamw.glsl"
#include "elementwise.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer old_p;
layout(binding = 1) uniform textureBuffer old_m;
layout(binding = 2) uniform textureBuffer g;
layout(binding = 3) uniform utextureBuffer table;
layout(binding = 4) readonly buffer State { uint state[]; };  // step, as float bits: rate
layout(binding = 5) readonly buffer Status { uint status[]; };
SPANS(6, p)
SPANS(7, m)
layout(push_constant) uniform Push {
  uint count4;
  float momentum;
  float weight_decay;
  IDENTITY
  ADDRESS(old_p) ADDRESS(old_m) ADDRESS(g)
};

void main() {
  float rate = uintBitsToFloat(state[1]);
  bool halted = status[0] != 0;
  EACH_BLOCK(i, count4) {
    vec4 p1[SPAN], m1[SPAN];
    [[unroll]] for (uint j = 0; j < SPAN; j++) {
      uint at = i + APART * j;
      uint word = WORD(table, i, j);
      bvec4 own = owned(halted ? 0 : word, PLACES(at));
      vec4 p0 = READ(old_p, at), m0 = READ(old_m, at);
      vec4 x = READ(g, at) + ((word & DECAYS) == 0 ? 0 : weight_decay) * p0;
      m1[j] = momentum * m0 + x;
      p1[j] = p0 - rate * (x + momentum * m1[j]);
      // What is not owned is written back as it was.
      p1[j] = mix(p0, p1[j], own);
      m1[j] = mix(m0, m1[j], own);
    }
    STORE_BLOCK(p, i, p1)
    STORE_BLOCK(m, i, m1)
  }
}
