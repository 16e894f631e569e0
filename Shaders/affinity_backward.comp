#version 450
// The gradient of affinity.comp with respect to the cosine, and each element's share of that with respect to the bandwidth.
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"
#include "affinity.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer cosine;
layout(binding = 1) uniform textureBuffer bandwidth;  // R32, [1]
layout(binding = 2) uniform textureBuffer dy;
layout(binding = 3) writeonly buffer Dcosine { vec4 dcosine[]; };
layout(binding = 4) writeonly buffer Shares { vec4 shares[]; };
layout(push_constant) uniform Push {
  uint count4;
  float truncation;
};

void main() {
  uint i = linear_index();
  vec4 d = 1.0 - texelFetch(cosine, int(i));
  float width = texelFetch(bandwidth, 0).x;
  vec4 slope = texelFetch(dy, int(i)) / width;
  if (!LOGARITHM) slope *= exp(-d / width);
  slope = mix(slope, vec4(0.0), greaterThan(d, vec4(truncation)));
  if (i < count4) {
    dcosine[i] = slope;
    shares[i] = slope * d / width;
  }
}
