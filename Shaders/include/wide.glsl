#ifndef WIDE_GLSL
#define WIDE_GLSL
// Eight floats in one store. A software driver turns a store into a loop over lanes; what a round costs beside its (at most four)
// scalar stores is shared by twice as many floats when these have 64 bits.
#extension GL_EXT_shader_8bit_storage : require
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require

// A buffer of them that STORE_HELD (lane_loads.glsl) stores to, as such or number by number.
#define WIDE_SPANS(index, name) \
  layout(binding = index) writeonly buffer name##_spans { u64vec4 name[]; }; \
  layout(binding = index) writeonly buffer name##_elements { float name##_floats[]; };

u64vec4 wide(vec4 low, vec4 high) {
  uvec4 a = floatBitsToUint(low), b = floatBitsToUint(high);
  return u64vec4(packUint2x32(a.xy), packUint2x32(a.zw), packUint2x32(b.xy), packUint2x32(b.zw));
}
#endif
