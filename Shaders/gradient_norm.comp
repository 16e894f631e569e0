#version 450
// norm = sqrt(sum of partials); sets status[0], which nothing here clears, if it is not finite. One workgroup.
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer partials;
layout(binding = 1) writeonly buffer Norm { float norm[]; };
layout(binding = 2) writeonly buffer Status { uint status[]; };
layout(push_constant) uniform Push { uint count; };
shared float sums[gl_WorkGroupSize.x];

void main() {
  uint lane = gl_LocalInvocationID.x;
  float sum = 0;
  for (uint i = lane; i < count; i += gl_WorkGroupSize.x) sum += texelFetch(partials, int(i)).x;
  sums[lane] = sum;
  barrier();
  if (lane == 0) {
    for (uint i = 1; i < gl_WorkGroupSize.x; i++) sum += sums[i];
    norm[0] = sqrt(sum);
    // By the bits, because compilers may assume that numbers are finite.
    if ((floatBitsToUint(sum) & 0x7f800000u) == 0x7f800000u) status[0] = 1;
  }
}
