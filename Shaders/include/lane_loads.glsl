// What the lanes of a subgroup read by a buffer's address, at places that the driver knows to be the same for all of them
// (`known_uniform`, include/lane_stores.glsl): as many neighbouring floats as there are lanes are one vector load then, where a fetch
// goes lane by lane (docs/performance.md). For the wide form of kernels, outside of control flow.
//
// The includer has ADDRESS(x) (span.glsl) at the end of its push constants, after IDENTITY, for each texel buffer x that it reads so; the
// host writes the address there of what is bound as x. Nothing checks that a place lies inside.
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#include "lane_stores.glsl"

layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer Floats { float at[]; };

/// Elements first ... first + 4 LANES - 1 of the buffer: component c of lane l is the one at LANES c + l. Zeros from the `count`-th on, a
/// constant.
vec4 held4(uvec2 address, uint first, uint count) {
  Floats floats = Floats(packUint2x32(address) + 4 * uint64_t(first));
  vec4 held = vec4(0.0);
  [[unroll]] for (uint c = 0; c < 4; c++)
    [[unroll]] for (uint lane = 0; lane < LANES; lane++)
      if (LANES * c + lane < count) {
        float element = floats.at[LANES * c + lane];
        held[c] = mix(held[c], element, gl_SubgroupInvocationID == lane);
      }
  return held;
}
vec4 held4(uvec2 address, uint first) { return held4(address, first, 4 * LANES); }

/// Lane l < 4 has those of lanes 2 l and 2 l + 1, of 8.
uint64_t lane_words(float own) {
  vec2 pair = vec2(0.0);
  [[unroll]] for (uint lane = 0; lane < 4; lane++)
    pair = mix(pair, vec2(subgroupShuffle(own, 2 * lane), subgroupShuffle(own, 2 * lane + 1)), bvec2(gl_SubgroupInvocationID == lane));
  return packUint2x32(floatBitsToUint(pair));
}

// Elements 8 i_ ... 8 i_ + 7 of `held`, an array of what held4 returns, as a span.
#define HELD_AT(held, e) subgroupShuffle((held)[(e) / LANES / 4][(e) / LANES % 4], (e) % LANES)
// Of eight lanes as words, which the compiler takes out of a vector whole; of 16 it does not see that they lie in it so.
#define HELD_PAIR(held, e) (LANES == 8 \
  ? subgroupShuffle(lane_words((held)[(e) / LANES / 4][(e) / LANES % 4]), (e) % LANES / 2) \
  : packUint2x32(floatBitsToUint(vec2(HELD_AT(held, e), HELD_AT(held, (e) + 1)))))
#define HELD_SPAN(held, i_) \
  u64vec4( \
      HELD_PAIR(held, 8 * (i_)), HELD_PAIR(held, 8 * (i_) + 2), HELD_PAIR(held, 8 * (i_) + 4), HELD_PAIR(held, 8 * (i_) + 6))
/// Stores the first `spans` spans of `held` from `place` on, which is known to be uniform.
#define STORE_HELD(buffer, place, spans, held) \
  [[unroll]] for (uint span_ = 0; span_ < (spans); span_++) buffer[(place) + span_] = HELD_SPAN(held, span_);
