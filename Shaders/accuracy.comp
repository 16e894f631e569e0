#version 450
// result = (top-1 hits, top-5 hits, valid rows) of logits [B, N] and labels [B]; one workgroup, an invocation takes
// every 64th row.
layout(local_size_x = 64) in;
layout(binding = 0) uniform textureBuffer logits;
layout(binding = 1) uniform utextureBuffer labels;
layout(binding = 2) writeonly buffer Result { float result[]; };
layout(push_constant) uniform Push {
  uint rows;
  uint classes;
};
shared uvec4 counts[gl_WorkGroupSize.x];

void main() {
  uint lane = gl_LocalInvocationID.x;
  uvec4 count = uvec4(0);
  for (uint row = lane; row < rows; row += gl_WorkGroupSize.x) {
    uint label = texelFetch(labels, int(row)).x;
    bool valid = label < classes;
    float own = texelFetch(logits, int(row * classes + (valid ? label : 0))).x;
    uint rank = 0;
    for (uint k = 0; k < classes; k++) {
      float other = texelFetch(logits, int(row * classes + k)).x;
      rank += other > own || (other == own && k < label) ? 1 : 0;
    }
    // Not isnan(): compilers may assume that there is none.
    bool is_nan = (floatBitsToUint(own) & 0x7fffffffu) > 0x7f800000u;
    bool counts_as_hit = valid && !is_nan;
    count += uvec4(counts_as_hit && rank < 1, counts_as_hit && rank < 5, valid, 0);
  }
  counts[lane] = count;
  barrier();
  if (lane == 0) {
    for (uint i = 1; i < gl_WorkGroupSize.x; i++) count += counts[i];
    result[0] = float(count.x);
    result[1] = float(count.y);
    result[2] = float(count.z);
  }
}
