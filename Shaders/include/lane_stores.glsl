// What the lanes of a subgroup hold, stored span by span at places that the driver knows to be the same for all lanes: a store of
// such a place, outside control flow, is a scalar one on lavapipe, where any other is a loop over lanes (docs/performance.md). For the
// wide form of kernels, whose host adds LANES to their constants.
//
// The includer has IDENTITY (span.glsl) at the end of its push constants, which holds 0 ... 63. Their index has to be dynamically
// uniform (Vulkan 1.3, 15.6.1), and the driver concludes that what is read there is: it does not see that of a group's number. Here the
// index is the same in a subgroup, where Vulkan means the workgroup; the driver computes one subgroup after another (`DevicePlan` takes
// these forms for Mesa's software driver only).
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_subgroup_extended_types_int64 : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "broadcasts.glsl"
#include "wide.glsl"

layout(constant_id = 99) const uint LANES = 8;  // of a subgroup
const uint SHARE = 32;  // spans of a subgroup, as a rule

const uint NOWHERE = 0x7ffff00;  // a place where nothing is bound: stores there are discarded (robustBufferAccess2)

/// The number of the subgroup among those of all groups, which may spread along y (linear.glsl).
uint linear_subgroup() {
  return (gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * gl_NumSubgroups + gl_SubgroupID;
}

/// `number`, below 2^30 and the same for all invocations of the subgroup. Each digit is a fetch lane by lane, some five instructions for each.
#define known_uniform(number) (BROADCASTS ? (number) : known_part(number) | DIGIT(number, 18) | DIGIT(number, 24))
/// The same below 2^18, and below 64.
#define known_part(number) (BROADCASTS ? (number) : known_digit(number) | DIGIT(number, 6) | DIGIT(number, 12))
#define known_digit(number) (BROADCASTS ? (number) : DIGIT(number, 0))
#define DIGIT(number, shift) (uint(identity[(number) >> (shift) & 63]) << (shift))

/// Declares `known_`, known to be uniform: where the subgroup's part of `count` begins, `length` each, of 2^18 parts at the most
/// (`Dispatch.wideParts`). The last ones move back to the end.
#define PART_HERE(length, count) uint known_ = min(known_part(linear_subgroup()) * (length), (count) - (length));

// What lane `lane` of the subgroup, a constant, has. Not as 64 bits, which newer Mesa takes apart by a loop.
#define LANE_OF(x, lane) (BROADCASTS ? subgroupBroadcast(x, lane) : subgroupShuffle(x, lane))
#define WORD_OF(word, lane) packUint2x32(LANE_OF(unpackUint2x32(word), lane))

/// The span that lane `lane_` holds to `place` of `buffer`, which is made of what is known to be uniform and of `lane_`. Not in control flow.
#define STORE_LANES(buffer, place, held) STORE_FIRST_LANES(buffer, LANES, place, held)
/// The same of the first `lanes` lanes, a constant.
#define STORE_FIRST_LANES(buffer, lanes, place, held) { \
  u64vec4 held_ = held; \
  [[unroll]] for (uint lane_ = 0; lane_ < (lanes); lane_++) \
    buffer[place] = u64vec4(WORD_OF(held_.x, lane_), WORD_OF(held_.y, lane_), WORD_OF(held_.z, lane_), WORD_OF(held_.w, lane_)); \
}
/// Where BROADCASTS, the row of `length` numbers that each lane has in vectors of four, to elements of its own from `place` on, of a buffer
/// declared by SPANS.
#define SCATTER_ROW(buffer, place, length, v) { \
  uint to_ = place; \
  [[unroll]] for (uint i_ = 0; i_ < (length); i_++) buffer##_floats[to_ + i_] = (v)[i_ / 4][i_ % 4]; \
}
/// The same of lanes that hold half a span: of `lane_`, an even one, and the next.
#define STORE_LANE_PAIRS(buffer, place, held) { \
  u64vec4 held_ = held; \
  [[unroll]] for (uint lane_ = 0; lane_ < LANES; lane_ += 2) \
    buffer[place] = u64vec4( \
        WORD_OF(held_.x, lane_), WORD_OF(held_.y, lane_), WORD_OF(held_.x, lane_ + 1), WORD_OF(held_.y, lane_ + 1)); \
}
