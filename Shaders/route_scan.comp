#version 450
// starts[i] = sum of counts[j] over j < i, in one workgroup: the second pass of a counting sort. With counts
// [E, chunks] in memory order this is the first slot of each expert's part of each chunk. Each lane owns a contiguous
// range.
#extension GL_EXT_control_flow_attributes : require
layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint LANES = 64;  // a power of two, at most 1024

layout(binding = 0) uniform utextureBuffer counts;  // four per texel; what is past the end only moves what is past it
layout(binding = 1) writeonly buffer Starts { uvec4 starts[]; };
layout(push_constant) uniform Push { uint count4; };

shared uint sums[1024];

void main() {
  uint lane = gl_LocalInvocationID.x;
  uint each = (count4 + LANES - 1) / LANES;
  uint first = min(lane * each, count4);
  uint end = min(first + each, count4);
  uint sum = 0;
  for (uint i = first; i < end; i++) {
    uvec4 four = texelFetch(counts, int(i));
    sum += (four.x + four.y) + (four.z + four.w);
  }
  uint before = sum;
  sums[lane] = before;
  [[unroll]] for (uint step = 1; step < LANES; step *= 2) {  // Hillis and Steele, 1986
    barrier();
    uint other = lane >= step ? sums[lane - step] : 0;
    barrier();
    before += other;
    sums[lane] = before;
  }
  before -= sum;
  for (uint i = first; i < end; i++) {
    uvec4 four = texelFetch(counts, int(i));
    uint xy = four.x + four.y;
    starts[i] = before + uvec4(0, four.x, xy, xy + four.z);
    before += xy + four.z + four.w;
  }
}
