// A GPU's matrix units, in mixed precision: what their kernels share. Factors are f16, sums f32.
//
// Written for GL_NV_cooperative_matrix, which Debian 12's compiler knows; what is embedded are the instructions of
// SPV_KHR_cooperative_matrix (`SPIRV.withKhronosMatrices`), which tells the three matrices' types apart by how they are used: their
// extents have to be constants of their own.
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_NV_cooperative_matrix : require
layout(constant_id = 2) const int MATRIX_M = 16;
layout(constant_id = 3) const int MATRIX_N = 16;
layout(constant_id = 4) const int MATRIX_K = 16;
layout(constant_id = 10) const int SUBGROUPS = 4;
#define LEFT fcoopmatNV<16, gl_ScopeSubgroup, MATRIX_M, MATRIX_K>
#define RIGHT fcoopmatNV<16, gl_ScopeSubgroup, MATRIX_K, MATRIX_N>
#define SUM fcoopmatNV<32, gl_ScopeSubgroup, MATRIX_M, MATRIX_N>

// f16 ends at 65504 and has all its digits down to 6e-5: a gradient so scaled reaches from 16 to 1.5e-8.
const float SCALE = 4096;

/// Four numbers as f16.
uvec2 halves(vec4 v) { return uvec2(packFloat2x16(f16vec2(v.xy)), packFloat2x16(f16vec2(v.zw))); }

/// Four numbers of a scaled gradient as f16. What is too large becomes the largest; infinity and NaN stay, since they end a step.
uvec2 gradient_halves(vec4 v) {
  uvec4 bits = floatBitsToUint(v);
  uvec4 size = bits & 0x7fffffffu;
  bvec4 large = bvec4(uvec4(greaterThan(size, uvec4(0x477fe000u))) & uvec4(lessThan(size, uvec4(0x7f800000u))));
  return halves(uintBitsToFloat(mix(bits, bits & 0x80000000u | 0x477fe000u, large)));
}
