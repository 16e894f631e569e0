#version 450
// y[b, t, c] = pos[t, c] + (t = 0 ? cls[c] : patches[b, t - 1, c]); INNER = T C, count elements of y in all.
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint C = 64;
layout(constant_id = 1) const uint INNER = 128;

// R32 unless C % 4 = 0
layout(binding = 0) uniform textureBuffer patches;
layout(binding = 1) uniform textureBuffer cls;
layout(binding = 2) uniform textureBuffer pos;
layout(binding = 3) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Push { uint count; };

// Texel i of y, where rows are `row` texels and samples `inner`. Both sources are read, so that no branch is needed.
vec4 token(uint i, uint row, uint inner) {
  uint j = i % inner;
  uint patches_before = i - i / inner * row;  // y has one row more per sample
  vec4 first = texelFetch(cls, int(min(j, row - 1)));
  vec4 other = texelFetch(patches, int(max(patches_before, row) - row));
  return (j < row ? first : other) + texelFetch(pos, int(j));
}

vec4 y4(uint i) {
  if (C % 4 == 0) return token(i, C / 4, INNER / 4);
  uvec4 e = min(4 * i + uvec4(0, 1, 2, 3), uvec4(count - 1));
  return vec4(token(e.x, C, INNER).x, token(e.y, C, INNER).x, token(e.z, C, INNER).x, token(e.w, C, INNER).x);
}

void main() {
  uint i = linear_index();
  if (4 * i < count) y[i] = y4(i);
}
