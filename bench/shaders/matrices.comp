#version 450
// As many products of matrices as the device's units do: every subgroup adds 16 of the same two factors to four sums for every iteration.
// Factors [128] vectors of eight f16, zeros; sums [subgroups][M][N].
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_NV_cooperative_matrix : require
layout(local_size_x = 128) in;
layout(constant_id = 0) const int M = 16;
layout(constant_id = 1) const int N = 16;
layout(constant_id = 2) const int K = 16;
layout(binding = 0) readonly buffer Factors { uvec4 factors[]; };
layout(binding = 1) writeonly buffer Sums { float sums[]; };
layout(push_constant) uniform Push {
  uint iterations;  // at most 65,535: software drivers end longer loops
};

void main() {
  fcoopmatNV<16, gl_ScopeSubgroup, M, K> x;
  fcoopmatNV<16, gl_ScopeSubgroup, K, N> y;
  coopMatLoadNV(x, factors, 0, K / 8, false);
  coopMatLoadNV(y, factors, 0, K / 8, true);
  fcoopmatNV<32, gl_ScopeSubgroup, M, N> c[4];
  // Different numbers: equal sums would be computed once.
  [[unroll]] for (int j = 0; j < 4; j++) c[j] = fcoopmatNV<32, gl_ScopeSubgroup, M, N>(float(j));
  for (uint i = 0; i < iterations; i++) {
    [[unroll]] for (int j = 0; j < 16; j++) c[j % 4] = coopMatMulAddNV(x, y, c[j % 4]);
  }
  uint subgroup = gl_WorkGroupID.x * gl_NumSubgroups + gl_SubgroupID;
  coopMatStoreNV(c[0] + c[1] + c[2] + c[3], sums, subgroup * uint(M * N), uint(N), false);
}
