#version 450
// y = exp(-d / bandwidth), or -d / bandwidth where LOGARITHM, for d = 1 - cosine; 0, or NOTHING, where d > truncation.
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"
#include "affinity.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer cosine;
layout(binding = 1) uniform textureBuffer bandwidth;  // R32, [1]
layout(binding = 2) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Push {
  uint count4;
  float truncation;
};

void main() {
  uint i = linear_index();
  vec4 d = 1.0 - texelFetch(cosine, int(i));
  vec4 logarithm = -d / texelFetch(bandwidth, 0).x;
  vec4 value = LOGARITHM ? logarithm : exp(logarithm);
  value = mix(value, vec4(LOGARITHM ? NOTHING : 0.0), greaterThan(d, vec4(truncation)));
  if (i < count4) y[i] = value;
}
