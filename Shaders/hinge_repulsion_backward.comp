#version 450
// dcosine[r, c] = dy[r] where c < r and 1 - cosine[r, c] < hinge, else 0: [U, U], count elements.
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer cosine;
layout(binding = 1) uniform textureBuffer dy;  // R32
layout(binding = 2) writeonly buffer Dcosine { vec4 dcosine[]; };
layout(push_constant) uniform Push {
  uint U;
  float hinge;
};

void main() {
  uint i = linear_index();
  uvec4 e = min(4 * i + uvec4(0, 1, 2, 3), uvec4(U * U - 1));
  uvec4 r = e / U;
  vec4 g = vec4(
      texelFetch(dy, int(r.x)).x, texelFetch(dy, int(r.y)).x, texelFetch(dy, int(r.z)).x, texelFetch(dy, int(r.w)).x);
  bvec4 is_near = lessThan(1.0 - texelFetch(cosine, int(i)), vec4(hinge));
  g = mix(vec4(0.0), g, is_near);
  g = mix(vec4(0.0), g, lessThan(e % U, r));
  if (4 * i < U * U) dcosine[i] = g;
}
