#version 450
// counts[e, chunk] = how many of the chunk's CHUNK entries chose expert e: the first pass of a counting sort.
// experts [entries] -> counts [E, chunks]; one lane per chunk and four experts.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint CHUNK = 32;  // a multiple of 4

layout(binding = 0) uniform utextureBuffer experts;  // four per texel
layout(binding = 1) writeonly buffer Counts { uint counts[]; };
layout(push_constant) uniform Push { uint entries; uint E; uint chunks; };

void main() {
  uint i = linear_index();
  uint chunk = i % chunks;
  uvec4 mine = 4 * (i / chunks) + uvec4(0, 1, 2, 3);
  uvec4 count = uvec4(0);
  for (uint at = chunk * CHUNK; at < min((chunk + 1) * CHUNK, entries); at += 4) {
    uvec4 four = texelFetch(experts, int(at / 4));
    bvec4 past = greaterThanEqual(at + uvec4(0, 1, 2, 3), uvec4(entries));
    four = mix(four, uvec4(0xffffffffu), past);
    [[unroll]] for (int c = 0; c < 4; c++) count += uvec4(equal(mine, uvec4(four[c])));
  }
  [[unroll]] for (int c = 0; c < 4; c++) {
    if (mine[c] < E) counts[mine[c] * chunks + chunk] = count[c];
  }
}
