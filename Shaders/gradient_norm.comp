#version 450
// norm = sqrt(sum of partials); sets status[0], which nothing here clears, if a partial or the sum is not finite. One workgroup.
layout(local_size_x = 64) in;
layout(binding = 0) uniform utextureBuffer partials;  // the bits of floats
layout(binding = 1) writeonly buffer Norm { float norm[]; };
layout(binding = 2) writeonly buffer Status { uint status[]; };
layout(push_constant) uniform Push { uint count; };
shared float sums[gl_WorkGroupSize.x];
shared uint exponents[gl_WorkGroupSize.x];

void main() {
  uint lane = gl_LocalInvocationID.x;
  float sum = 0;
  // Compilers may assume that what they compute is finite, but not what is read as bits (Vulkan, precision of SPIR-V instructions).
  uint exponent = 0;
  for (uint i = lane; i < count; i += gl_WorkGroupSize.x) {
    uint bits = texelFetch(partials, int(i)).x;
    exponent = max(exponent, bits & 0x7f800000u);
    sum += uintBitsToFloat(bits);
  }
  sums[lane] = sum;
  exponents[lane] = exponent;
  barrier();
  if (lane == 0) {
    for (uint i = 1; i < gl_WorkGroupSize.x; i++) {
      sum += sums[i];
      exponent = max(exponent, exponents[i]);
    }
    norm[0] = sqrt(sum);
    if (exponent == 0x7f800000u || !(sum < 3.4e38)) status[0] = 1;
  }
}
