#version 450
// The slot of each entry: the start of its expert's part of its chunk, plus how many entries of the chunk before it
// chose the same expert. The third pass of a counting sort: stable, and a permutation, so no two lanes write one place.
// experts [entries], starts [E, chunks] -> offsets [E + 1], entries [entries], slots [entries]; one lane per entry.
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "linear.glsl"
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint CHUNK = 32;

layout(binding = 0) uniform utextureBuffer experts;  // four per texel
layout(binding = 1) uniform utextureBuffer starts;
layout(binding = 2) writeonly buffer Offsets { uint offsets[]; };
layout(binding = 3) writeonly buffer Entries { uint entries[]; };
layout(binding = 4) writeonly buffer Slots { uint slots[]; };
layout(push_constant) uniform Push { uint count; uint E; uint chunks; };

uint ones(bvec4 b) {
  uvec4 n = uvec4(b);
  return (n.x + n.y) + (n.z + n.w);
}

void main() {
  uint i = linear_index();
  uint entry = min(i, count - 1);
  uint chunk = entry / CHUNK;
  uvec4 four = texelFetch(experts, int(entry / 4));
  uint expert = four[entry % 4];
  bvec4 earlier = lessThan(uvec4(0, 1, 2, 3), uvec4(entry % 4));
  uint rank = ones(equal(mix(uvec4(0xffffffffu), four, earlier), uvec4(expert)));
  for (uint at = chunk * CHUNK / 4; at < entry / 4; at++)
    rank += ones(equal(texelFetch(experts, int(at)), uvec4(expert)));
  uint slot = texelFetch(starts, int(expert * chunks + chunk)).x + rank;
  uint offset = i < E ? texelFetch(starts, int(i * chunks)).x : count;
  if (i < count) {
    entries[slot] = i;
    slots[i] = slot;
  }
  if (i <= E) offsets[i] = offset;
}
