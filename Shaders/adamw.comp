#version 450
// AdamW over a whole block of count4 vectors. Parameters and moments are read as texels (much faster on CPU drivers) and
// written as storage; a subgroup reads only what it writes itself, so the two views never race.
// In the wide form the block is whole groups, so that nothing is updated twice.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "adamw.glsl"
#include "elementwise.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer old_p;
layout(binding = 1) uniform textureBuffer old_m;
layout(binding = 2) uniform textureBuffer old_v;
layout(binding = 3) uniform textureBuffer g;
layout(binding = 4) uniform utextureBuffer table;
// What all lanes read alike, at constant places and outside control flow: CPU drivers load that once and not by lanes.
layout(binding = 5) readonly buffer State { uint state[]; };  // step, as float bits: rate, 1 - beta1^t, 1 - beta2^t
layout(binding = 6) readonly buffer Status { uint status[]; };
layout(binding = 7) readonly buffer Norm { float norm[]; };
SPANS(8, p)
SPANS(9, m)
SPANS(10, v)
layout(push_constant) uniform Push {
  uint count4;
  float take1;  // 1 - beta1
  float keep2;  // beta2
  float take2;  // 1 - beta2
  float eps;
  float weight_decay;
  float max_norm;  // 0: no clipping
  IDENTITY
  ADDRESS(old_p) ADDRESS(old_m) ADDRESS(old_v) ADDRESS(g)
};

void main() {
  float rate = uintBitsToFloat(state[1]);
  float step_size = rate / uintBitsToFloat(state[2]);
  float correction = inversesqrt(uintBitsToFloat(state[3]));
  float total = norm[0];
  bool halted = status[0] != 0;
  float scale = max_norm > 0 ? min(1, max_norm / (total + 1e-6)) : 1;
  EACH_BLOCK(i, count4) {
    vec4 p1[SPAN], m1[SPAN], v1[SPAN];
    [[unroll]] for (uint j = 0; j < SPAN; j++) {
      uint at = i + APART * j;
      uint word = WORD(table, i, j);
      bvec4 own = owned(halted ? 0 : word, PLACES(at));
      vec4 p0 = READ(old_p, at), m0 = READ(old_m, at), v0 = READ(old_v, at);
      vec4 x = READ(g, at) * scale;
      float keep = (word & DECAYS) == 0 ? 1 : 1 - rate * weight_decay;
      m1[j] = m0 + take1 * (x - m0);
      v1[j] = keep2 * v0 + take2 * (x * x);
      p1[j] = keep * p0 - step_size * (m1[j] / (sqrt(v1[j]) * correction + eps));
      // What is not owned is written back as it was.
      p1[j] = mix(p0, p1[j], own);
      m1[j] = mix(m0, m1[j], own);
      v1[j] = mix(v0, v1[j], own);
    }
    STORE_BLOCK(p, i, p1)
    STORE_BLOCK(m, i, m1)
    STORE_BLOCK(v, i, v1)
  }
}
