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

Floats floats_at(uvec2 address, int element) { return Floats(packUint2x32(address) + 4 * int64_t(element)); }

int integer_at(uvec2 address, int element) { return floatBitsToInt(floats_at(address, element).at[0]); }

/// Elements 0 ... 4 LANES - 1 of `floats`: component c of lane l is the one at LANES c + l. Zeros from the `count`-th on, a constant.
vec4 held4(Floats floats, uint count) {
  vec4 held = vec4(0.0);
  [[unroll]] for (uint c = 0; c < 4; c++)
    [[unroll]] for (uint lane = 0; lane < LANES; lane++)
      if (LANES * c + lane < count) {
        float element = floats.at[LANES * c + lane];
        held[c] = mix(held[c], element, gl_SubgroupInvocationID == lane);
      }
  return held;
}
/// The same from element `first` of the buffer on.
vec4 held4(uvec2 address, uint first, uint count) {
  return held4(Floats(packUint2x32(address) + 4 * uint64_t(first)), count);
}
vec4 held4(uvec2 address, uint first) { return held4(address, first, 4 * LANES); }

// Elements 8 i_ ... 8 i_ + 7 of `held`, an array of what held4 returns, as a span.
#define HELD_AT(held, e) LANE_OF((held)[(e) / LANES / 4][(e) / LANES % 4], (e) % LANES)
#define HELD_PAIR(held, e) packUint2x32(floatBitsToUint(vec2(HELD_AT(held, e), HELD_AT(held, (e) + 1))))
#define HELD_SPAN(held, i_) \
  u64vec4( \
      HELD_PAIR(held, 8 * (i_)), HELD_PAIR(held, 8 * (i_) + 2), HELD_PAIR(held, 8 * (i_) + 4), HELD_PAIR(held, 8 * (i_) + 6))
/// Stores the first `spans` spans of `held` from `place` on, which is known to be uniform, of a buffer declared by SPANS.
#define STORE_HELD(buffer, place, spans, held) \
  if (BROADCASTS) { \
    SCATTER_HELD(buffer, 8 * (place), 8 * (spans), held) \
  } else \
    [[unroll]] for (uint span_ = 0; span_ < (spans); span_++) buffer[(place) + span_] = HELD_SPAN(held, span_);
/// Its first `count` elements, a constant, from element `first` on: multiples of 8, but where BROADCASTS.
#define STORE_ELEMENTS(buffer, first, count, held) \
  if (BROADCASTS) { \
    SCATTER_HELD(buffer, first, count, held) \
  } else \
    STORE_HELD(buffer, (first) >> 3, (count) / 8, held)
/// The same where BROADCASTS.
#define SCATTER_HELD(buffer, first, count, held) \
  uint to_ = (first) + gl_SubgroupInvocationID, end_ = (first) + (count); \
  [[unroll]] for (uint vector_ = 0; vector_ * LANES < (count); vector_++, to_ += LANES) \
    buffer##_floats[(vector_ + 1) * LANES > (count) && to_ >= end_ ? 8 * NOWHERE : to_] = (held)[vector_ / 4][vector_ % 4];
