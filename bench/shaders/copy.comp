#version 450
// y = x, one vector per invocation; groups [x, y, 1] that cover the vectors exactly, so that no invocation has nothing to do.
// With TEXELS x is a texel buffer, which software drivers read faster and devices may limit.
layout(local_size_x = 64) in;
#ifdef TEXELS
layout(binding = 0) uniform textureBuffer x;
#else
layout(binding = 0) readonly buffer X { vec4 x[]; };
#endif
layout(binding = 1) writeonly buffer Y { vec4 y[]; };

void main() {
  uint i = (gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * 64 + gl_LocalInvocationID.x;
#ifdef TEXELS
  y[i] = texelFetch(x, int(i));
#else
  y[i] = x[i];
#endif
}
